"""Which part of a host name anybody can register a name under: a small list of our own, and a rule of thumb.

The list of all public suffixes has ten thousand lines and changes weekly; what is asked here is only whether `autodiscover.` stands right below one, and whether
two hosts belong to one organisation. So: a country code (two letters) and the common generic top-level domains are suffixes; below a country code so are the
words that registries use for kinds of registrants (`co.uk`, `com.au`, `or.jp`, `gob.mx`), but where the registry registers directly (`co.de` is an ordinary
domain). A suffix that is missing here costs a finding, never makes one; a wrong one makes a finding that says medium confidence at best.
"""
from __future__ import annotations

# RFC 6761, RFC 6762 Appendix G, RFC 2606, RFC 8375, and the name that ICANN set aside for private use in 2024: never delegated, so nobody outside can hold them
PRIVATE_TOP = frozenset("local localhost localdomain lan internal intranet private corp home mail domain workgroup arpa test example invalid onion alt".split())
GENERIC_TOP = frozenset((
    "com net org edu gov mil int info biz name pro aero asia cat coop jobs mobi museum post tel travel xxx "
    "academy agency app art associates bank bar berlin best bike blog build business cafe capital care career center chat church city clinic cloud club coach "
    "codes coffee community company computer consulting contractors cool credit dental design dev digital direct directory doctor dog earth education email "
    "energy engineer engineering enterprises equipment estate events exchange expert express family fan farm fashion finance financial fit foundation fun fund "
    "furniture fyi gallery games garden gay gift global gmbh gold golf group guide guru hamburg haus health healthcare help holdings holiday host hosting house "
    "icu immo inc industries ink institute insurance international investments jetzt koeln koln land law legal life lighting limited link live loan loans "
    "london love ltd management market marketing media moda money movie nagoya network news ninja nrw nyc one online org paris parts partners party pet photo "
    "photography photos pics pictures pizza plus press productions properties pub quebec realty recipes red rent repair report rest restaurant rocks run sale "
    "salon school science scot services shoes shop shopping show site ski social software solar solutions space sport store stream studio style supplies supply "
    "support surf swiss systems tax team tech technology tennis theater tips tirol today tokyo tools top tours town toys trade training university vegas "
    "ventures vet video villas vip vision vote wales watch webcam website wedding wien wiki win wine work works world wtf xin xyz yoga zone"
).split())
KINDS = frozenset(  # what registries name the second level: for firms, networks, associations, schools, offices
    "ac asn asso co com edu gen go gob gouv gov govt gub gv ind info int mil muni ne net nom or org sch".split())
DIRECT = frozenset(  # countries whose registries register right below the country code: `co.de` is somebody's domain
    "be bg ca ch cz de dk ee eu fi fo gg gl gs ie im io is je li lt lu lv ly md mk mn nl no nu pw se sh si sk sm so st su tk to us va vg ws".split())
SPECIAL = frozenset((  # where a word is used by few registries, or by one that also registers directly
    "me.uk ltd.uk plc.uk nhs.uk police.uk id.au id.lv id.ir school.nz iwi.nz kiwi.nz geek.nz maori.nz ad.jp ed.jp gr.jp lg.jp pe.kr re.kr hs.kr ms.kr es.kr sc.kr kg.kr "
    "web.za law.za nis.za nom.za school.za web.id my.id biz.id desa.id web.tr gen.tr bel.tr pol.tr k12.tr av.tr dr.tr bbs.tr name.tr tel.tr tv.tr biz.tr kep.tr "
    "in.th mi.th biz.pl waw.pl pl.ua kiev.ua kyiv.ua lviv.ua in.ua firm.in ind.in nic.in res.in gen.in idv.tw game.tw ebiz.tw club.tw idv.hk "
    "per.sg sport.hu tm.fr prd.fr notaires.fr port.fr adv.br art.br blog.br eco.br eng.br esp.br etc.br fm.br jor.br jus.br leg.br med.br mp.br pro.br srv.br tv.br "
    "tur.br tec.ve web.ve spb.ru msk.ru pp.ru pp.ua gc.ca qc.ca on.ca bc.ca ab.ca co.im com.im net.im org.im co.no gov.ie co.nl co.gg net.gg org.gg co.je "
    "net.je org.je com.ly net.ly gov.ly com.mk net.mk org.mk com.so net.so org.so com.ws net.ws org.ws com.vg com.sh net.sh org.sh com.io com.bg"
).split())
MAX_LABELS = 32


def is_suffix(name: str) -> bool | None:
    """Whether names are registered right below `name`; None for a single label that is neither known to be one nor to be private."""
    labels = name.split(".")
    if len(labels) == 1:
        top = labels[0]
        if not top or top in PRIVATE_TOP or not (top.isalpha() or top.startswith("xn--")):
            return False
        return True if len(top) == 2 or top in GENERIC_TOP or top.startswith("xn--") else None
    if len(labels) != 2:
        return False
    kind, country = labels
    if name in SPECIAL:
        return True
    return len(country) == 2 and country.isalpha() and country not in DIRECT and kind in KINDS


def registrable(host: str) -> str:
    """The part of a host name that somebody registered: `mail.contoso.co.uk` is of contoso.co.uk. An address stands for itself."""
    host = host.rstrip(".").lower()
    labels = host.split(".")
    if len(labels) < 2 or ":" in host or labels[-1].isdigit() or len(labels) > MAX_LABELS:
        return host
    n = 3 if is_suffix(".".join(labels[-2:])) else 2
    return ".".join(labels[-n:])
