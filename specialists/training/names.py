"""Made-up names of people, organisations, places and other subjects of documents."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from specialists.training.words import capital, made_up, made_up_name, word


def _noun(rng: Random) -> str:
    return capital(word(rng, "nouns"))


def _adjective(rng: Random) -> str:
    return capital(word(rng, "adjectives"))


def _last(rng: Random) -> str:
    return capital(word(rng, "last_names")) if rng.random() < 0.4 else made_up_name(rng)


def _stem(rng: Random) -> str:
    """What a name is built on: mostly made up, sometimes a surname or a plain word."""
    pick = rng.random()
    return made_up_name(rng) if pick < 0.7 else _last(rng) if pick < 0.85 else _noun(rng)


def person(rng: Random) -> str:
    first = capital(word(rng, "first_names")) if rng.random() < 0.6 else made_up_name(rng)
    last = _last(rng)
    pick = rng.random()
    if pick < 0.8:
        return f"{first} {last}"
    if pick < 0.86:
        return f"{rng.choice('ABCDEFGHIJKLMNOPRSTVWZ')}. {last}"
    if pick < 0.92:
        return f"{rng.choice(['Dr', 'Professor', 'Captain', 'Judge', 'Sister', 'Colonel'])} {last}"
    return f"{first} {rng.choice('ABCDEFGHJKLMNPRSTW')}. {last}" if pick < 0.96 else f"{first} {made_up_name(rng)} {last}"


def place(rng: Random) -> str:
    stem = made_up_name(rng)
    forms = ["{}"] * 10 + [
        "North {}",
        "South {}",
        "Lake {}",
        "Port {}",
        "{} Valley",
        "{} Island",
        "New {}",
        "{} Bay",
        "Saint {}",
        "{} Hill",
        "Upper {}",
        "{}-on-Sea",
        "{} Harbour",
        "{} Street",
    ]
    return rng.choice(forms).format(stem)


def organisation(rng: Random) -> str:
    forms = [
        "{} Institute",
        "{} Group",
        "{} Ltd",
        "{} & {}",
        "{} Museum",
        "{} Hospital",
        "{} Bank",
        "{} Robotics",
        "{} Works",
        "{} Laboratory",
        "{} Clinic",
        "{}",
        "{} School",
        "University of {}",
        "{} Foundation",
        "{} Systems",
        "{} Partners",
        "{} Council",
        "{} Brothers",
        "{} Foods",
        "{} Energy",
        "{} Press",
        "{} Observatory",
        "Bank of {}",
        "{} Logistics",
        "{} College",
        "{} Library",
        "{} Pharma",
        "{} Trust",
        "Royal {} Society",
        "{} Airlines",
        "{} Software",
        "{} Insurance",
        "{} Railway",
        "{} Agency",
        "{} Company",
        "{} Cooperative",
        "{} Archive",
        "{} Theatre",
        "{} Shipyard",
        "{} Court",
        "Ministry of {}",
        "{} Centre",
    ]
    return rng.choice(forms).format(_stem(rng), _last(rng))


def product(rng: Random) -> str:
    forms = [
        "{}",
        "{} {n}",
        "{} Mk {r}",
        "{}-{n}",
        "{} {noun}",
        "{} Pro",
        "Model {c}{n}",
        "{} engine",
        "{} scanner",
        "{} pump",
        "{} drone",
        "{} server",
        "{} printer",
        "{} probe",
        "{} router",
        "{} database",
        "{} compiler",
        "{}OS",
        "{} reactor",
        "{} telescope",
        "{} sensor",
        "{} kettle",
        "{} camera",
        "{} library",
        "{} framework",
        "the {} valve",
        "{}DB",
    ]
    number, letter = rng.choice([rng.randint(2, 12), rng.randint(1, 99) * 10]), rng.choice("ABCDEFGHJKLMNPRSTVWXZ")
    return rng.choice(forms).format(_stem(rng), n=number, c=letter, noun=_noun(rng), r=rng.choice(["II", "III", "IV", "V"]))


def substance(rng: Random) -> str:
    endings = [
        "ine",
        "ol",
        "ium",
        "ate",
        "ide",
        "mab",
        "vir",
        "statin",
        "cillin",
        "azole",
        "ite",
        "oxin",
        "ene",
        "amide",
        "ane",
        "ase",
        "pril",
    ]
    made = made_up(rng, 1, 2) + rng.choice(endings)
    code = f"compound {rng.choice('ABCDKLRTX')}{rng.choice('BCDKLRTX')}-{rng.randint(10, 999)}"
    return rng.choice([made] * 6 + [capital(made), f"{made} {rng.choice(['resin', 'oxide', 'extract', 'powder'])}", code])


def statute(rng: Random) -> str:
    year = rng.randint(1790, 2030)
    forms = [
        "{n} {m} Act {y}",
        "{n} Act",
        "{p} Act {y}",
        "Treaty of {p}",
        "Regulation {a}/{y}",
        "{p} Convention",
        "{n} Directive",
        "{p} Ordinance",
        "{l} v {k}",
        "{n} and {m} Act",
        "{p} Protocol",
        "{n} Code",
        "{j} {n} Act {y}",
        "{p} Charter",
        "{n} Rules {y}",
        "{l} v {p} Council",
        "{p} Accord",
        "{n} Bill",
    ]
    return rng.choice(forms).format(
        n=_noun(rng),
        m=_noun(rng),
        p=made_up_name(rng),
        y=year,
        a=rng.randint(1, 900),
        l=_last(rng),
        k=_last(rng),
        j=_adjective(rng),
    )


def theory(rng: Random) -> str:
    forms = [
        "{}'s theorem",
        "{} method",
        "{} effect",
        "{}-{} protocol",
        "{} algorithm",
        "{}'s law",
        "{} test",
        "{} principle",
        "{} model",
        "{} rule",
        "{}-{} equation",
        "{} paradox",
        "{} conjecture",
        "{} transform",
    ]
    return rng.choice(forms).format(_last(rng), _last(rng))


def event(rng: Random) -> str:
    forms = [
        "{} Festival",
        "Operation {n}",
        "{} Marathon",
        "{} trial",
        "{} Expedition",
        "{} mission",
        "Battle of {}",
        "{} Conference",
        "{} Fair",
        "{} outbreak",
        "{} Cup",
        "{n} Week",
        "{} earthquake",
        "Siege of {}",
        "{} project",
        "{} study",
        "{} summit",
    ]
    return rng.choice(forms).format(made_up_name(rng), n=_noun(rng))


def work(rng: Random) -> str:
    forms = [
        "The {a} {n}",
        "{} Bridge",
        "MV {}",
        "{} Tower",
        "The {n} of {}",
        "{} Hall",
        "{} Castle",
        "{n} and {m}",
        "{} Cathedral",
        "{} Lighthouse",
        "{} Palace",
        "SS {}",
        "{} Dam",
        "{} House",
        "A {n} in {}",
        "{} Symphony",
        "{} Tunnel",
        "The Last {n}",
    ]
    return rng.choice(forms).format(made_up_name(rng), a=_adjective(rng), n=_noun(rng), m=_noun(rng))


def creature(rng: Random) -> str:
    latin = f"{made_up(rng, 2, 2).capitalize()}us {made_up(rng, 1, 2)}{rng.choice(['us', 'is', 'a', 'ensis'])}"
    kind = rng.choice([word(rng, "animals"), "moss", "fern", "beetle", "orchid", "frog", "finch", "bacterium", "moth", "lily"])
    forms = [
        latin,
        f"{made_up_name(rng)} {kind}",
        f"{word(rng, 'adjectives')} {kind}",
        made_up(rng, 2, 3),
        f"{word(rng, 'colours')} {made_up(rng, 2)}",
    ]
    return rng.choice(forms)


def disease(rng: Random) -> str:
    forms = [
        "{L} disease",
        "{L} syndrome",
        "{w}itis",
        "{w}osis",
        "{P} fever",
        "{w}emia",
        "{a} {w}ia",
        "{L}'s palsy",
        "{w} pox",
        "{w}oma",
    ]
    return rng.choice(forms).format(L=_last(rng), P=made_up_name(rng), w=made_up(rng, 1, 2), a=word(rng, "adjectives"))


def fund(rng: Random) -> str:
    forms = [
        "{} Bond",
        "{} Growth Fund",
        "{} Index",
        "{} Fund",
        "{} {n}",
        "{} Income Trust",
        "{} note",
        "{} share",
        "{} coin",
        "{} Pension Fund",
        "{} 100",
        "{} loan",
    ]
    return rng.choice(forms).format(_stem(rng), n=rng.randint(20, 2060))


def body(rng: Random) -> str:
    forms = [
        "{}",
        "Mount {}",
        "River {}",
        "{}-{d}b",
        "{} nebula",
        "{} comet",
        "{} Glacier",
        "{} asteroid",
        "Lake {}",
        "{} galaxy",
        "{}on",
        "{} crater",
        "{} Desert",
    ]
    return rng.choice(forms).format(made_up_name(rng), d=rng.randint(2, 900))


def team(rng: Random) -> str:
    forms = [
        "{} Rovers",
        "The {a} {n}s",
        "{} Quartet",
        "{} United",
        "{} Choir",
        "{} Rowing Club",
        "{} {n}s",
        "{} Chess Club",
        "FC {}",
        "{} Orchestra",
        "{} Wanderers",
    ]
    return rng.choice(forms).format(made_up_name(rng), a=_adjective(rng), n=_noun(rng))


SUBJECTS: Final[dict[str, Callable[[Random], str]]] = {
    f.__name__: f
    for f in (
        person,
        place,
        organisation,
        product,
        substance,
        statute,
        theory,
        event,
        work,
        creature,
        disease,
        fund,
        body,
        team,
    )
}

PRONOUNS: Final[dict[str, tuple[str, ...]]] = {
    "person": ("He", "She", "They"),
    "place": ("It", "The place", "The town"),
    "organisation": ("It", "The company", "The organisation", "The house", "It"),
    "product": ("It", "The device", "The product", "The system", "It"),
    "substance": ("It", "The substance", "The compound"),
    "statute": ("It", "The law", "The text", "This law"),
    "theory": ("It", "The method", "The result"),
    "event": ("It", "The event", "The project"),
    "work": ("It", "The work", "The structure"),
    "creature": ("It", "The species", "This species"),
    "disease": ("It", "The disease", "The condition"),
    "fund": ("It", "The fund", "The instrument"),
    "body": ("It", "The object", "This one"),
    "team": ("It", "The team", "The group"),
}
