"""Countries with continent, demonym, capital and ISO 3166 code; data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """One country as people name it in English.

    Attributes:
        name: Usual short English name.
        continent: Continent, one word for all of America's two.
        demonym: Adjective.
        capital: Capital city.
        code: ISO 3166-1 alpha-2.
    """

    name: str
    continent: str
    demonym: str
    capital: str
    code: str

    @property
    def flag(self) -> str:
        """Flag emoji: the code in regional indicator letters."""
        return "".join(chr(0x1F1E6 + ord(c) - ord("A")) for c in self.code)


_TABLE = """
Africa
Algeria|Algerian|Algiers|DZ; Angola|Angolan|Luanda|AO; Botswana|Botswanan|Gaborone|BW
Cameroon|Cameroonian|Yaoundé|CM; Egypt|Egyptian|Cairo|EG; Ethiopia|Ethiopian|Addis Ababa|ET
Ghana|Ghanaian|Accra|GH; Kenya|Kenyan|Nairobi|KE; Libya|Libyan|Tripoli|LY
Madagascar|Malagasy|Antananarivo|MG; Mali|Malian|Bamako|ML; Morocco|Moroccan|Rabat|MA
Mozambique|Mozambican|Maputo|MZ; Namibia|Namibian|Windhoek|NA; Niger|Nigerien|Niamey|NE
Nigeria|Nigerian|Abuja|NG; Rwanda|Rwandan|Kigali|RW; Senegal|Senegalese|Dakar|SN
South Africa|South African|Pretoria|ZA; Sudan|Sudanese|Khartoum|SD; Tanzania|Tanzanian|Dodoma|TZ
Tunisia|Tunisian|Tunis|TN; Uganda|Ugandan|Kampala|UG; Zambia|Zambian|Lusaka|ZM
Zimbabwe|Zimbabwean|Harare|ZW
America
Argentina|Argentine|Buenos Aires|AR; Bolivia|Bolivian|Sucre|BO; Brazil|Brazilian|Brasília|BR
Canada|Canadian|Ottawa|CA; Chile|Chilean|Santiago|CL; Colombia|Colombian|Bogotá|CO
Costa Rica|Costa Rican|San José|CR; Cuba|Cuban|Havana|CU; Dominican Republic|Dominican|Santo Domingo|DO
Ecuador|Ecuadorian|Quito|EC; Guatemala|Guatemalan|Guatemala City|GT; Haiti|Haitian|Port-au-Prince|HT
Honduras|Honduran|Tegucigalpa|HN; Jamaica|Jamaican|Kingston|JM; Mexico|Mexican|Mexico City|MX
Nicaragua|Nicaraguan|Managua|NI; Panama|Panamanian|Panama City|PA; Paraguay|Paraguayan|Asunción|PY
Peru|Peruvian|Lima|PE; United States|American|Washington|US; Uruguay|Uruguayan|Montevideo|UY
Venezuela|Venezuelan|Caracas|VE
Asia
Afghanistan|Afghan|Kabul|AF; Armenia|Armenian|Yerevan|AM; Bangladesh|Bangladeshi|Dhaka|BD
Bhutan|Bhutanese|Thimphu|BT; Cambodia|Cambodian|Phnom Penh|KH; China|Chinese|Beijing|CN
India|Indian|New Delhi|IN; Indonesia|Indonesian|Jakarta|ID; Iran|Iranian|Tehran|IR; Iraq|Iraqi|Baghdad|IQ
Israel|Israeli|Jerusalem|IL; Japan|Japanese|Tokyo|JP; Jordan|Jordanian|Amman|JO
Kazakhstan|Kazakh|Astana|KZ; Laos|Laotian|Vientiane|LA; Lebanon|Lebanese|Beirut|LB
Malaysia|Malaysian|Kuala Lumpur|MY; Mongolia|Mongolian|Ulaanbaatar|MN; Nepal|Nepalese|Kathmandu|NP
Oman|Omani|Muscat|OM; Pakistan|Pakistani|Islamabad|PK; Philippines|Filipino|Manila|PH
Qatar|Qatari|Doha|QA; Saudi Arabia|Saudi|Riyadh|SA; Singapore|Singaporean|Singapore|SG
South Korea|South Korean|Seoul|KR; Sri Lanka|Sri Lankan|Colombo|LK; Syria|Syrian|Damascus|SY
Thailand|Thai|Bangkok|TH; Turkey|Turkish|Ankara|TR; Vietnam|Vietnamese|Hanoi|VN
Europe
Albania|Albanian|Tirana|AL; Austria|Austrian|Vienna|AT; Belgium|Belgian|Brussels|BE
Bulgaria|Bulgarian|Sofia|BG; Croatia|Croatian|Zagreb|HR; Czechia|Czech|Prague|CZ
Denmark|Danish|Copenhagen|DK; Estonia|Estonian|Tallinn|EE; Finland|Finnish|Helsinki|FI
France|French|Paris|FR; Germany|German|Berlin|DE; Greece|Greek|Athens|GR; Hungary|Hungarian|Budapest|HU
Iceland|Icelandic|Reykjavik|IS; Ireland|Irish|Dublin|IE; Italy|Italian|Rome|IT; Latvia|Latvian|Riga|LV
Lithuania|Lithuanian|Vilnius|LT; Netherlands|Dutch|Amsterdam|NL; Norway|Norwegian|Oslo|NO
Poland|Polish|Warsaw|PL; Portugal|Portuguese|Lisbon|PT; Romania|Romanian|Bucharest|RO
Russia|Russian|Moscow|RU; Serbia|Serbian|Belgrade|RS; Slovakia|Slovak|Bratislava|SK
Slovenia|Slovenian|Ljubljana|SI; Spain|Spanish|Madrid|ES; Sweden|Swedish|Stockholm|SE
Switzerland|Swiss|Bern|CH; Ukraine|Ukrainian|Kyiv|UA; United Kingdom|British|London|GB
Oceania
Australia|Australian|Canberra|AU; Fiji|Fijian|Suva|FJ; New Zealand|New Zealand|Wellington|NZ
Papua New Guinea|Papua New Guinean|Port Moresby|PG; Samoa|Samoan|Apia|WS; Tonga|Tongan|Nuku'alofa|TO
Vanuatu|Ni-Vanuatu|Port Vila|VU
"""


def _parse() -> tuple[Country, ...]:
    found: list[Country] = []
    continent = ""
    for line in _TABLE.strip().splitlines():
        if "|" not in line:
            continent = line
            continue
        for cell in line.split(";"):
            name, demonym, capital, code = cell.strip().split("|")
            found.append(Country(name=name, continent=continent, demonym=demonym, capital=capital, code=code))
    return tuple(found)


COUNTRIES: tuple[Country, ...] = _parse()
BY_NAME: dict[str, Country] = {c.name.casefold(): c for c in COUNTRIES}
