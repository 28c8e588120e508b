"""The page's style: readable in light, in the dark, on paper and on a phone; no font is fetched."""

STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--paper:#fff;--line:#e3e7ec;
--axis:#9aa5b1;--rate:#1f5fa8;--band:#1f5fa826;--dot:#1f5fa88c;--apart:#9a7b2f99;--window:#e6edf6;--fill:#cfd6de;
--change:#8a3ffc;--c0:#7b8794;--c1:#c2410c;--c2:#0f766e;--c3:#7c3aed;--c4:#be185d;--c5:#4d7c0f;
--ok:#166534;--okb:#dcfce7;--bad:#9a3412;--badb:#ffedd5;--warn:#854d0e;--warnb:#fef9c3;--nob:#eef1f5}
@media (prefers-color-scheme:dark){
:root{--ink:#e6eaf0;--soft:#a3afbd;--paper:#14181e;--line:#2a313b;
--axis:#66717f;--rate:#7db4f5;--band:#7db4f52b;--dot:#7db4f58c;--apart:#d9b95f99;--window:#232f3d;
--fill:#3a4452;--change:#c4a1ff;--c0:#8a96a5;--c1:#fb923c;--c2:#2dd4bf;--c3:#a78bfa;--c4:#f472b6;
--c5:#a3e635;--ok:#86efac;--okb:#14351f;--bad:#fdba74;--badb:#43230f;--warn:#fde68a;--warnb:#3b300c;
--nob:#232a34}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:56rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.6rem;line-height:1.25;margin:.2rem 0 .4rem}
h2{font-size:1.2rem;margin:0 0 .3rem}h3{font-size:.95rem;margin:1.2rem 0 .3rem}
p{margin:.4rem 0;max-width:48rem}.soft{color:var(--soft)}small{color:var(--soft)}
a{color:inherit}section{border-top:1px solid var(--line);margin-top:2.2rem;padding-top:1.4rem}
.chip{display:inline-block;border-radius:999px;padding:.05rem .6rem;font-size:.82rem;
background:var(--nob);white-space:nowrap}
.healthy{background:var(--okb);color:var(--ok)}
.gate_wrong,.root_cause{background:var(--badb);color:var(--bad)}
.bad_month,.one_person{background:var(--warnb);color:var(--warn)}
table{border-collapse:collapse;font-size:.9rem;margin:.4rem 0}
th,td{text-align:left;padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--line);
vertical-align:baseline}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
th{font-weight:600;color:var(--soft)}.scroll{overflow-x:auto}.hint{display:none}
td:first-child{overflow-wrap:anywhere}td.d{white-space:nowrap}
.points{padding-left:1.1rem;margin:.3rem 0}.slim{margin-top:.5rem;padding-top:.3rem}
.fold>summary{font-size:1.05rem;color:var(--ink)}.top{float:right;font-size:.82rem;color:var(--soft)}
.spark{font-family:ui-monospace,monospace;letter-spacing:-.5px;color:var(--rate);white-space:nowrap}
figure{margin:1rem 0 .5rem}figcaption{font-size:.82rem;color:var(--soft);margin-top:.3rem}
.chart{width:100%;height:auto;display:block}.narrow{display:none}
.chart text{font:12px system-ui,sans-serif;fill:var(--soft)}
.chart .mark{fill:var(--change);font-weight:600}
.grid{stroke:var(--line);stroke-width:1}.axis{stroke:var(--axis);stroke-width:1}
.window{fill:var(--window)}.band{fill:var(--band)}.rate{fill:none;stroke:var(--rate);stroke-width:2.2}
.weekly,.apart{fill:none;stroke-linecap:round}.weekly{stroke:var(--dot);stroke-width:4.5}
.apart{stroke:var(--apart);stroke-width:4}.off{fill:none;stroke-width:1.4!important}
.burst{fill:var(--c1);opacity:.45}.passages{fill:var(--fill)}
.change{stroke:var(--change);stroke-width:1.4;stroke-dasharray:4 3}
.tickmark{fill:none;stroke-width:2}.c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}
.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}.c5{stroke:var(--c5)}
.door{fill:none;stroke-width:2.2}.d0{stroke:var(--rate)}.d1{stroke:var(--c1)}.d2{stroke:var(--c2)}
.d3{stroke:var(--c3)}.d4{stroke:var(--c4)}.d5{stroke:var(--c5)}
.key{display:inline-block;margin-right:.9rem;white-space:nowrap}
.key.long{display:block;white-space:normal}
.key i{display:inline-block;width:.7rem;height:.7rem;border-radius:50%;margin-right:.3rem}
.key i.bar{width:1.1rem;height:.2rem;border-radius:0;vertical-align:.2rem}
.key i.thin{width:.16rem;border-radius:0;vertical-align:-.05rem}
blockquote{margin:.2rem 0 .2rem 0;padding-left:.8rem;border-left:3px solid var(--line);
font-size:.9rem;overflow-wrap:anywhere}
li{margin:.15rem 0}ul{padding-left:1.2rem}
details{margin:.6rem 0}summary{cursor:pointer;color:var(--soft);font-size:.9rem}
@media (max-width:560px){.wide{display:none}.narrow{display:block}body{font-size:15px}
th,td{padding-right:.4rem;font-size:.8rem}td.w{white-space:normal;min-width:4.6rem}
.hide{display:none}.hint{display:block;font-size:.78rem}
.scroll table{min-width:100%}.key{margin-right:.6rem}h1{font-size:1.3rem}
.chart text{font-size:11px}}
@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--paper:#fff;--line:#ddd;--axis:#888;
--rate:#1f5fa8;--band:#1f5fa826;--dot:#1f5fa88c;--apart:#9a7b2f99;--window:#f2f5f9;--fill:#cfd6de;
--change:#8a3ffc;--c0:#7b8794;--c1:#c2410c;--c2:#0f766e;--c3:#7c3aed;--c4:#be185d;--c5:#4d7c0f;
--ok:#166534;--okb:#dcfce7;--bad:#9a3412;--badb:#ffedd5;--warn:#854d0e;--warnb:#fef9c3;--nob:#eef1f5}
body{font-size:10.5pt;-webkit-print-color-adjust:exact;print-color-adjust:exact}main{max-width:none;padding:0}
figure,tr,blockquote,h2,h3{break-inside:avoid}h2,h3{break-after:avoid}.wide{display:block}
.narrow{display:none}}
"""


def standalone(svg: str) -> str:
    """Return ``svg`` as a file of its own: its style inside, its own background.

    Light or dark follows the reader's setting, as on the page.
    """
    head, _, rest = svg.partition(">")
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    style = STYLE.partition("@media print")[0].replace("body{", "unused{")
    paper = '<rect width="100%" height="100%" style="fill:var(--paper)"/>'
    return f"{head}><style>{style}</style>{paper}{rest}\n"
