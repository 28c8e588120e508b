"""The strict store on a free port of 127.0.0.1, in path style; signatures are not checked."""

from __future__ import annotations

import base64
import contextlib
import email.utils
import hashlib
import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.kit.strict_s3 import S3Error, StoredVersion, StrictS3

_SUBRESOURCES = (
    "retention", "policy", "object-lock", "versioning", "versions", "lifecycle", "delete",
    "encryption",
)  # fmt: skip
_ACTIONS = {
    ("GET", ""): "s3:GetObject", ("HEAD", ""): "s3:GetObject", ("PUT", ""): "s3:PutObject",
    ("DELETE", ""): "s3:DeleteObject", ("PUT", "retention"): "s3:PutObjectRetention",
    ("GET", "retention"): "s3:GetObjectRetention", ("PUT", "policy"): "s3:PutBucketPolicy",
    ("DELETE", "policy"): "s3:DeleteBucketPolicy",
    ("PUT", "object-lock"): "s3:PutBucketObjectLockConfiguration",
    ("PUT", "versioning"): "s3:PutBucketVersioning",
    ("PUT", "lifecycle"): "s3:PutLifecycleConfiguration",
    ("PUT", "encryption"): "s3:PutEncryptionConfiguration",
    ("GET", "versions"): "s3:ListBucketVersions",
}  # fmt: skip


@contextlib.contextmanager
def running_strict_s3() -> Iterator[tuple[StrictS3, str]]:
    """Serve a store of its own; gives it and its address."""
    store = StrictS3()
    handler = type("Handler", (_Handler,), {"store": store})
    server = _Server(("127.0.0.1", 0), handler)
    # A daemon: a store shared until exit must not keep the interpreter from getting there.
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield store, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Say nothing of callers that hung up: with a store in trouble they do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store: StrictS3

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _do(self) -> None:
        trouble = self.store.trouble
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.store.requests.append(f"{self.command} {self.path}")
        troubled = self.command in trouble.on
        if troubled and trouble.hangs:
            while self.store.trouble.hangs:
                time.sleep(0.02)
            self.close_connection = True
            return
        if troubled and trouble.unavailable > 0:
            trouble.unavailable -= 1
            self._answer(*_error(S3Error(503, "SlowDown", "please reduce your request rate")))
            return
        try:
            status, headers, body = self._asked(data)
        except S3Error as error:
            status, headers, body = _error(error)
        if troubled and trouble.loses_answers > 0:
            trouble.loses_answers -= 1
            self.close_connection = True
            return
        if troubled and trouble.nonsense:
            status, headers, body = 200, {}, b"<html>it works!"
        self._answer(status, headers, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do  # noqa: N815

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Date", email.utils.format_datetime(self.store.now(), usegmt=True))
        for key, value in headers.items():
            self.send_header(key, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.store.trouble.drips and self.command in self.store.trouble.on:
            for at in range(len(body)):
                self.wfile.write(body[at : at + 1])
                time.sleep(0.05)
            return
        self.wfile.write(body)

    def _asked(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(self.path)
        _, bucket, key = [*unquote(parts.path).split("/", 2), ""][:3]
        query = {name: each[0] for name, each in parse_qs(parts.query, True).items()}
        sub = next((each for each in _SUBRESOURCES if each in query), "")
        self._authorize(bucket, key, sub, query)
        if key:
            return self._object(bucket, key, sub, query, data)
        return self._bucket(bucket, sub, query, data)

    def _authorize(self, bucket: str, key: str, sub: str, query: dict[str, str]) -> None:
        action = _ACTIONS.get((self.command, sub), "")
        if action == "s3:DeleteObject" and "versionId" in query:
            action = "s3:DeleteObjectVersion"
        if not key and not sub:
            action = {"PUT": "s3:CreateBucket", "DELETE": "s3:DeleteBucket"}.get(self.command, "")
        credential = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        keys = {
            name: self.headers[header]
            for name, header in (
                ("s3:if-none-match", "If-None-Match"),
                ("s3:object-lock-mode", "x-amz-object-lock-mode"),
            )
            if header in self.headers
        }
        if until := self.headers.get("x-amz-object-lock-retain-until-date"):
            left = _moment(until) - self.store.now()
            keys["s3:object-lock-remaining-retention-days"] = str(left.days)
        if action:
            access = credential[1] if credential else "anonymous"
            self.store.authorize(access, action, bucket, key, **keys)

    def _object(
        self, bucket: str, key: str, sub: str, query: dict[str, str], data: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        version, bypass = query.get("versionId", ""), self._bypasses()
        if sub == "retention" and self.command == "PUT":
            given = _texts(data)
            self.store.retain(bucket, key, version, given["Mode"],
                              _moment(given["RetainUntilDate"]), bypass=bypass)  # fmt: skip
            return 200, {}, b""
        if self.command == "PUT":
            return self._put(bucket, key, data)
        if self.command == "DELETE":
            made = self.store.delete(bucket, key, version, bypass=bypass)
            marker = {"x-amz-delete-marker": "true", "x-amz-version-id": made} if made else {}
            return 204, marker, b""
        found = self.store.find(bucket, key, version)
        return 200, _described(found), found.data or b""

    def _put(self, bucket: str, key: str, data: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = self.headers
        sums = {
            "Content-MD5": hashlib.md5(data, usedforsecurity=False).digest(),
            "x-amz-checksum-sha256": hashlib.sha256(data).digest(),
        }
        for name, digest in sums.items():
            if name in headers and headers[name] != base64.b64encode(digest).decode():
                raise S3Error(400, "BadDigest")
        until = headers.get("x-amz-object-lock-retain-until-date")
        made = self.store.put(
            bucket,
            key,
            data,
            if_none_match=headers.get("If-None-Match", ""),
            mode=headers.get("x-amz-object-lock-mode", ""),
            until=_moment(until) if until else None,
            summed=any(name in headers for name in sums),
            metadata={
                name[11:].lower(): value
                for name, value in headers.items()
                if name.lower().startswith("x-amz-meta-")
            },
        )
        return 200, {"ETag": f'"{made.etag}"', "x-amz-version-id": made.id}, b""

    def _bypasses(self) -> bool:
        return self.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"

    def _bucket(
        self, name: str, sub: str, query: dict[str, str], data: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        store = self.store
        if self.command == "PUT" and not sub:
            store.create(name, locks=self.headers.get("x-amz-bucket-object-lock-enabled") == "true")
            return 200, {}, b""
        bucket = store.bucket(name)
        match self.command, sub:
            case "PUT", "versioning":
                store.set_versioning(name, enabled=_texts(data)["Status"] == "Enabled")
            case "GET", "versioning":
                status = "<Status>Enabled</Status>" if bucket.versioned else ""
                return _xml("VersioningConfiguration", status)
            case "PUT", "object-lock":
                given = _texts(data)
                bucket.default = (given["Mode"], int(given["Days"])) if "Mode" in given else None
            case "GET", "object-lock":
                return _lock_configuration(bucket.locks, bucket.default)
            case "PUT", "policy":
                bucket.policy = data.decode()
            case "GET", "policy":
                if not bucket.policy:
                    raise S3Error(404, "NoSuchBucketPolicy")
                return 200, {}, bucket.policy.encode()
            case "PUT", "lifecycle":
                bucket.lifecycle = data.decode()
            case "GET", "lifecycle":
                if not bucket.lifecycle:
                    raise S3Error(404, "NoSuchLifecycleConfiguration")
                return 200, {}, bucket.lifecycle.encode()
            case "PUT", "encryption":
                bucket.encryption = data.decode()
            case "GET", "encryption":
                if not bucket.encryption:
                    raise S3Error(404, "ServerSideEncryptionConfigurationNotFoundError")
                return 200, {}, bucket.encryption.encode()
            case "GET", "versions":
                return _listing(store, name, query)
            case "POST", "delete":
                return self._delete_many(name, data)
            case "HEAD", "":
                pass
            case _:
                raise S3Error(501, "NotImplemented", f"{self.command} ?{sub}")
        return 200, {}, b""

    def _delete_many(self, name: str, data: bytes) -> tuple[int, dict[str, str], bytes]:
        told = ""
        for each in ElementTree.fromstring(data).iter():
            if not each.tag.endswith("Object"):
                continue
            wanted = {child.tag.rpartition("}")[2]: child.text or "" for child in each}
            key, version = wanted["Key"], wanted.get("VersionId", "")
            where = f"<Key>{escape(key)}</Key><VersionId>{version}</VersionId>"
            try:
                self.store.delete(name, key, version, bypass=self._bypasses())
                told += f"<Deleted>{where}</Deleted>"
            except S3Error as error:
                code = f"<Code>{error.code}</Code><Message>{error.message}</Message>"
                told += f"<Error>{where}{code}</Error>"
        return _xml("DeleteResult", told)


def _described(found: StoredVersion) -> dict[str, str]:
    headers = {
        "ETag": f'"{found.etag}"',
        "x-amz-version-id": found.id,
        "Content-Length": str(len(found.data or b"")),
        "Last-Modified": email.utils.format_datetime(found.at, usegmt=True),
        "x-amz-checksum-sha256": base64.b64encode(
            hashlib.sha256(found.data or b"").digest()
        ).decode(),
        **{f"x-amz-meta-{name}": value for name, value in found.metadata.items()},
    }
    if found.until is not None:
        headers["x-amz-object-lock-mode"] = found.mode
        headers["x-amz-object-lock-retain-until-date"] = f"{found.until:%Y-%m-%dT%H:%M:%S.000Z}"
    return headers


def _lock_configuration(
    locks: bool, default: tuple[str, int] | None
) -> tuple[int, dict[str, str], bytes]:
    if not locks:
        raise S3Error(404, "ObjectLockConfigurationNotFoundError")
    rule = ""
    if default is not None:
        rule = f"<Mode>{default[0]}</Mode><Days>{default[1]}</Days>"
        rule = f"<Rule><DefaultRetention>{rule}</DefaultRetention></Rule>"
    return _xml("ObjectLockConfiguration", f"<ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}")


def _listing(
    store: StrictS3, name: str, query: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    at_most = int(query.get("max-keys", "1000"))
    after, after_version = query.get("key-marker", ""), query.get("version-id-marker", "")
    found, passed = [], not after
    for key, version, latest in store.versions(name, query.get("prefix", "")):
        if not passed:
            if after_version and key == after:
                passed = version.id == after_version
                continue
            passed = key > after
        if passed:
            found.append((key, version, latest))
    told = f"<IsTruncated>{str(len(found) > at_most).lower()}</IsTruncated>"
    for key, version, latest in found[:at_most]:
        kind = "DeleteMarker" if version.data is None else "Version"
        size = "" if version.data is None else f"<Size>{len(version.data)}</Size>"
        told += (
            f"<{kind}><Key>{escape(key)}</Key><VersionId>{version.id}</VersionId>"
            f"<IsLatest>{str(latest).lower()}</IsLatest>"
            f"<LastModified>{version.at:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>&quot;{version.etag}&quot;</ETag>{size}</{kind}>"
        )
    if len(found) > at_most:
        key, version, _ = found[at_most - 1]
        told += f"<NextKeyMarker>{escape(key)}</NextKeyMarker>"
        told += f"<NextVersionIdMarker>{version.id}</NextVersionIdMarker>"
    return _xml("ListVersionsResult", told)


def _error(error: S3Error) -> tuple[int, dict[str, str], bytes]:
    told = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
    return error.status, {"Content-Type": "application/xml"}, f"<Error>{told}</Error>".encode()


def _xml(root: str, inner: str) -> tuple[int, dict[str, str], bytes]:
    space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    return 200, {"Content-Type": "application/xml"}, f"<{root} {space}>{inner}</{root}>".encode()


def _texts(data: bytes) -> dict[str, str]:
    return {
        each.tag.rpartition("}")[2]: each.text or "" for each in ElementTree.fromstring(data).iter()
    }


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
