"""Words and numbers that look-alikes are made of; data only, written for lorabench.

Document numbers and section numbers are real or look real: nobody checks that a section exists.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


LEADS: tuple[str, ...] = (
    "as specified in", "as defined in", "as defined by", "in accordance with", "in line with",
    "with reference to", "consistent with", "according to", "pursuant to", "subject to", "as required by",
    "as stated in", "as per", "following", "refer to", "under", "per", "see", "cf.", "by", "in", "gemäß",
    "laut", "siehe", "nach",
)  # fmt: skip
GERMAN_LEADS = frozenset({"gemäß", "laut", "siehe", "nach"})

SECTION_WORDS: tuple[str, ...] = (
    "subsection", "section", "sections", "sec.", "sect.", "clause", "article", "art.", "chapter",
    "paragraph", "para.", "annex", "appendix", "requirement", "control", "part", "rule", "table", "page",
    "abschnitt", "absatz", "kapitel", "artikel", "anhang", "§§", "§",
)  # fmt: skip

# Authority -> (document as written, a section of it). The first document is used first.
DOCUMENTS: dict[str, tuple[tuple[str, str], ...]] = {
    "RFC": (
        ("RFC 7231", "6.5"), ("RFC 2119", "3"), ("RFC 5280", "4.2.1"), ("RFC 9110", "7.4"),
        ("RFC 4271", "9"), ("RFC 6749", "4.1.3"), ("RFC 7235", "2.1"), ("RFC 8174", "2"),
        ("RFC 3986", "3.3"), ("RFC 8446", "4.2.11"), ("RFC 6265", "5.4"), ("RFC 8259", "7"),
        ("RFC 1034", "3.6"), ("RFC 5321", "4.1.1"), ("RFC 4648", "5"),
    ),
    "ISO": (
        ("ISO 27001", "4.2.1"), ("ISO 9001", "8.5"), ("ISO 22301", "8.4"), ("ISO 31000", "6.4"),
        ("ISO 8601", "5.2"),
    ),
    "NIST SP": (
        ("NIST SP 800-53", "5.1"), ("NIST SP 800-63B", "5.1.1"), ("NIST SP 800-171", "3.3"),
        ("NIST SP 800-61", "3.2"),
    ),
    "OWASP ASVS": (
        ("OWASP ASVS", "8.1.1"), ("OWASP MASVS", "2.4"), ("OWASP SAMM", "1.3"),
    ),
    "CWE": (
        ("CWE-89", "3.2"), ("CWE-79", "2.1"), ("CWE-502", "4.1"), ("CWE-22", "1.3"),
    ),
    "IEEE": (
        ("IEEE 802.11", "9.3"), ("IEEE 754", "4.3"), ("IEEE 1588", "7.2"),
    ),
    "ETSI": (
        ("ETSI EN 303 645", "5.1"), ("ETSI TS 119 312", "7.3"),
    ),
    "PCI DSS": (
        ("PCI DSS", "6.5"), ("PCI DSS v4.0", "8.3.6"),
    ),
    "IEC": (
        ("IEC 62443", "4.3"), ("IEC 61508", "7.4"), ("IEC 60601", "8.1"),
    ),
    "FIPS": (
        ("FIPS 140-3", "7.2"), ("FIPS 199", "3"),
    ),
}  # fmt: skip
# Recognised besides the keys above; not used as another technical authority.
OTHER_AUTHORITIES: tuple[str, ...] = (
    "OWASP MASVS", "OWASP SAMM", "OWASP", "NIST", "ISO/IEC", "CVE", "MITRE ATT&CK", "W3C", "ITU-T", "ANSI",
    "DIN EN", "DIN", "PCI", "GDPR", "DSGVO", "HIPAA", "FRCP", "CCPA", "U.S.C.", "BGB", "StGB", "SOC",
    "BSI", "Federal", "Regulation",
)  # fmt: skip

# Other authorities without a section; {lead} is the trigger's own lead word.
NO_SECTION: tuple[str, ...] = (
    "ISO 27001", "OWASP ASVS v4.0.3", "NIST SP 800-53", "CWE-89 mitigation guidance", "MITRE ATT&CK T1055",
    "IEEE 802.11", "PCI DSS v4.0", "ETSI EN 303 645", "ISO 27001 Annex A",
)  # fmt: skip
POLICIES: tuple[str, ...] = (
    "our policy", "the manual", "our internal policy", "the latest guidance", "company directive 12-A",
    "the house rules", "your last message", "the usual procedure", "the contract",
)  # fmt: skip
POLICIES_DE: tuple[str, ...] = (
    "unserer Richtlinie",
    "dem Handbuch",
    "der Hausordnung",
    "Vertrag",
    "Absprache",
)
NON_TECHNICAL: tuple[str, ...] = (
    "Article 6(1)(b) GDPR", "{lead}regulation 5.4.2",
    "Federal Rule 26(b)(3)", "see clause 14.2.3", "{lead}GDPR Article 17",
    "{lead}HIPAA section 164.502(a)", "15 March 2021", "{lead}Building Code chapter 4.2",
    "see FRCP Rule 26 subdivision b", "DIN A4 page 3", "{lead}the timetable of 14 May 2019",
)  # fmt: skip
OTHER_LEADS: tuple[str, ...] = (
    "see", "according to", "by", "in accordance with", "under", "consistent with", "pursuant to",
    "as stated in",
)  # fmt: skip
PARAPHRASES: tuple[str, ...] = (
    "as specified in {body}", "{body} states that", "following {body}", "in accordance with {body}",
    "what {body} says applies here", "the rule in {body}", "{body} requires this",
)  # fmt: skip
NONSENSE_AUTHORITIES: tuple[str, ...] = ("FRA", "XQZ")
SECTIONS: tuple[str, ...] = ("7.4", "4.2.1", "9", "6.5", "2.1", "5.1.3", "8.1", "1.4")

MONTHS: tuple[str, ...] = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
MONTHS_DE: tuple[str, ...] = (
    "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober",
    "November", "Dezember",
)  # fmt: skip

TAGS: tuple[str, ...] = (
    "i", "p", "div", "span", "b", "h1", "ul", "em", "strong", "table", "section", "blockquote", "code",
    "u", "small",
)  # fmt: skip
VOID_TAGS: tuple[str, ...] = ("br", "hr", "img", "input", "wbr", "meta")
ATTRIBUTES: tuple[str, ...] = ('class="note"', 'id="x1"', 'style="color:red"', "hidden", 'lang="de"')

TITLES: tuple[str, ...] = (
    "Mr.", "Mrs.", "Ms.", "Dr.", "Prof.", "Sir", "Dame", "Herr", "Frau", "Mr", "Mrs", "Ms", "Dr", "Prof",
)  # fmt: skip
FIRST_NAMES: tuple[str, ...] = _words(
    """
    Maria James Anna John Fatima Robert Yuki Michael Elena David Amara Thomas Ingrid Peter Sofia Daniel
    Leila Paul Chloe Mark Nadia George Hannah Kevin Priya Brian Astrid Edward Mei Jason Olga Ryan Zara
    Eric Julia Adam Rosa Henry Emma Oscar Laura Frank Alice Samuel Clara Martin Ruth Walter Grace Arthur
    Irene Hugo Helen Viktor Jane Alan Mary William Elizabeth Joseph Sarah Charles Karen Donald Joe Barack
    Angela Emmanuel Olaf Elon Taylor Ada Grace Albert Isaac Marie Nelson Hans Klaus Stefan Sabine Petra
    Jürgen Karl Friedrich
    """
)
SURNAMES: tuple[str, ...] = _words(
    """
    Smith Okafor Schneider Tanaka Rossi Kowalski Johnson Garcia Petrov Andersen Nguyen Silva Brown Haddad
    Larsen Novak Wilson Mbeki Fischer Kim Moreau Jones Costa Lindqvist Patel Taylor Weber Sato Murphy
    Ivanova Davis Müller Papadopoulos Walker Singh Dubois Clarke Yilmaz Evans Horvat Wagner Becker
    Williams Miller Lovelace Turing
    """
)

SHORT_TOKENS: tuple[str,
    ...] = (
    "mn", "bb", "tq", "mb", "ux", "zk", "qv", "hy", "lo", "wp", "xj", "dg", "fc", "ko", "vz",
    "nr",
)  # fmt: skip
HOST_WORDS: tuple[str, ...] = ("garden", "window", "market", "silver", "paper")

# Each line: words that may stand for one another.
SYNONYMS: tuple[tuple[str, ...], ...] = (
    ("authorized", "approved", "permitted", "sanctioned"), ("authorised", "approved", "permitted"),
    ("override", "bypass", "overrule"), ("system", "platform", "machine"),
    ("admin", "administrator", "operator"), ("administrator", "admin", "superuser"),
    ("token", "code", "key"), ("password", "passphrase", "secret"), ("ignore", "disregard", "skip"),
    ("previous", "earlier", "prior"), ("instructions", "orders", "rules"), ("message", "note", "memo"),
    ("please", "kindly"), ("now", "immediately"), ("begin", "start"), ("end", "finish"),
    ("secret", "hidden", "private"), ("user", "customer", "client"), ("question", "query"),
    ("answer", "reply", "response"), ("important", "urgent", "crucial"), ("hello", "hi", "greetings"),
    ("good", "fine", "nice"), ("open", "unlock"), ("enable", "activate", "switch on"),
    ("enabled", "activated"), ("mode", "setting"), ("debug", "diagnostic"), ("test", "trial"),
    ("big", "large"), ("small", "little"), ("fast", "quick"), ("house", "home"), ("car", "vehicle"),
    ("by", "from"), ("with", "using"), ("in", "within"), ("the", "this"), ("a", "one"),
)  # fmt: skip

COMMON_WORDS: tuple[str, ...] = _words(
    """
    day way man eye job year time hand part place week case point side water room month lot study book
    word business issue area money story fact home power hour game line end city community name team
    minute idea kid body information back parent face others level office door health art war history
    party result change morning reason research girl guy moment air teacher force education foot boy age
    music road map tea ice sun sea tree bird boat bread chair cloud coat corn cup desk farm fire fish
    floor flower garden glass grass green horse island kitchen lake lamp leaf letter market milk mountain
    night paper pencil picture plate pocket rain ribbon river salt school shoe silver snow spoon spring
    star stone street summer sugar table train village wall window winter wood yellow
    """
)
RARE_WORDS: tuple[str, ...] = _words(
    """
    ziggurat quokka vellum gossamer marzipan obelisk tamarind wombat yurt zephyr axolotl bassoon calyx
    dirigible estuary fjord gourd hammock ibex jonquil kelp lichen mandolin nacre okapi parasol quince
    rhubarb sorrel tundra umbel verdigris whelk xylem yarrow zither alembic burdock cairn dulcimer ermine
    fescue gantry halyard isobar jetty kumquat loom moth newt oboe plinth quill rune sloe thatch ulna vole
    wren yew gnu elm auk cob dace eft
    """
)
