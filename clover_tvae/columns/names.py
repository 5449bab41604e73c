"""What the name of a column says of its cells: identifiers, names of people, their births, times.

This module knows names alone. A name is a hint: cells that contradict it win.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable

__all__ = [
    "YEARS",
    "counts_time",
    "is_half_of_a_name",
    "is_name_of_people",
    "is_surely_name_of_people",
    "may_count_files",
    "may_name_an_id",
    "names_a_birth",
    "names_a_person",
    "names_a_place_in_time",
    "names_a_time",
    "names_an_id",
    "names_people_or_counts_them",
    "names_relatives",
    "names_staff",
    "names_things",
    "numbers_a_person",
]

# A name that says "identifier" outright, and one that only may.
_ID_NAME = re.compile(
    r"(?:^|[^a-z])(?:ids?|uuid|guid|sno|ssn|svnr|kvnr|mrn|(?:e-?)?mail|(?:tele)?phone|telefon|iban|passport)(?:$|[^a-z])",
    re.IGNORECASE,
)
_ID_CAMEL = re.compile(r"[a-z](?:Id|ID)$")
_MAY_BE_ID_NAME = re.compile(
    r"(?:^|[^a-z])(?:key|index|number|no|nr|num|record)(?:$|[^a-z])|[a-z](?:Key|Number|No|Nr)$", re.IGNORECASE
)
_PERSON = re.compile(
    r"patient|subject|person|client|customer|user|member|employee|participant|student|mrn|ssn|kunde|klient|proband",
    re.IGNORECASE,
)
_NUMBER = "(?:id|key|code|number|nummer|num|no|nr|n[uú]m[eé]ro)"
# ... or is one: "personal" may be spending, and "employees" a number of them.
_ONE_PERSON = (
    rf"{_PERSON.pattern}|worker|resident|insured|policyholder|patientin|kundin|klientin|probandin|studentin|mitarbeiterin|mitglied|"
    "versicherter|angestellter|patiente|paciente|cliente|assur[eé]e?|salari[eé]e?|employ[eé]e?|emplead[oa]|asegurad[oa]|trabajadora?"
    "|beneficiar(?:y|io|ia)|beneficiaire|usager|eleve|alumn[oa]|titular|usuari[oa]"
)
_PEOPLE = rf"(?:{_ONE_PERSON})(?:e?s|e?n|nen|er|innen)|(?:mitarbeiter|arbeitnehmer|teilnehmer|bewohner|schue?ler)(?:n|s|in|innen)?|versicherten?|angestellten?"
_PERSON_ALONE = re.compile(
    rf"(?:{_ONE_PERSON})(?:(?:e?n|al)? ?{_NUMBER})?|(?:{_PEOPLE}) ?{_NUMBER}|{_NUMBER} (?:{_ONE_PERSON})"
)
_PEOPLE_ALONE = re.compile(_PEOPLE)
_GIVEN_OUT = "(?:id|key|number|nummer|num|no|nr|n[uú]m[eé]ro)"  # a code may be one of few, and "num customers" a count
_PERSON_AND_NUMBER = re.compile(
    rf"(?:{_ONE_PERSON})(?:e?n|al)? ?{_GIVEN_OUT}|(?:id|key|nummer|n[uú]m[eé]ro) (?:{_ONE_PERSON})"
)
# What people have a number of, which may be a thing, too; and shortened names, which need the word for a number: "fall" alone is a season.
_FILE = "dossier|expediente|historia clinica|badge|matricule|legajo|securite sociale|seguridad social|social security"
_PERSON_SHORT = re.compile(
    rf"(?:pat|subj?|empl?|cust|pers(?:onal)?|stud|kd|ma|sv|kv|versicherungs?|fall|case|akten?|policy|account|acct|konto) ?{_NUMBER}"
    rf"|pid|pnr|vnr|vsnr|aktenzeichen|nhc|(?:{_GIVEN_OUT}|n) (?:de |du )?(?:{_FILE})|matricule|legajo"
)
_HOW_MANY = re.compile(rf"(?:number|num|no|nr) (?:of )?(?:{_PEOPLE})|nombre (?:(?:de|d) )?(?:{_PEOPLE})")
# Who is called where people need someone; and who treats, teaches or leads them.
_RELATIVES = "mother|father|spouse|husband|wife|guardian|mutter|vater|madre|padre|mere|pere|conjointe?|angehorige[rn]?|contact(?: person)?|next kin"
_STAFF = (
    "(?:nurse|doctor|physician|surgeon|therapist|clinician|consultant|teacher|manager|supervisor|medecin|infirmiere?|chirurgien|praticien|enfermer[ao]|profesora?)s?"
    "|[a-z]*(?:arzt|aerzt|pfleger|schwester|therapeut|lehrer|leiter|behandler|ansprechpartner)(?:e|es|s|en|in|innen|n)?|medic[ao]s?|vorgesetzte[rn]?|responsables?"
    rf"|{_RELATIVES}"
)
# A heading of names is made of these words: "name", also of things; what makes it one of people; what says so alone; words between.
_ANY_NAME = "names?|namen|noms?|nombres?|nome|naam"
_WHOSE_NAME = (
    "sur|fore|full|first|last|middle|given|family|maiden|birth|completo?|patronymique|usage|usuel|famille|naissance|jeune|fille|pila"
    "|vor|nach|familien|zu|geb|geburts|mae?dchen|ruf|ehe|primer|segundo|paterno|materno"
    "|child|baby|enfant|kind(?:e?s|er)?|niñ[oa]|nin[oa]|hij[oa]|cust|applicant|antragsteller(?:in)?|demandeur"
    rf"|pat|pt|emp|ma|vp|kd|(?!subject)(?:{_ONE_PERSON}|{_PEOPLE})|{_STAFF}"
)
_WORDS_OF_NAMES = {
    "name": re.compile(_ANY_NAME),
    "whose": re.compile(_WHOSE_NAME),
    "surname": re.compile(
        rf"(?:[fl]|(?:{_WHOSE_NAME}){{1,2}})(?:{_ANY_NAME})|prenoms?|apellidos?|cognome|imie|nazwisko"
    ),
    "between": re.compile(
        "of|the|s|and|de|du|d|des|der|del|la|le|les|l|el|los|las|et|und|u|y|e?r|do|o|traitante?|tratante|behandelnde[rn]?"
    ),
}
# Who does something: a reviewer, an author, a Sachbearbeiter.
_AGENT = re.compile("[a-z]+(?:er|or|eur|euse|ist|agent)(?:in|s)?")
# Of things as well: how something is used, how somebody was born, firms.
_MAY_BE_NAME = re.compile("(?:usage|birth|provider|owner) names?")
_BIRTH = re.compile(
    r"birth|geburt|geboren|gebdat|naiss|nacim|nascit|geboorte|(?:^|[^a-z])(?:dob|ddn|geb|born|bday|nac|datnais|n[ée]e?[^a-z]+le|n[ée]\(e\) le)(?:$|[^a-z])",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"(?:^|[^a-z])(?:times?|ts|t|dates?|epoch|unix|seen|start|end|since|login|zeit|datum|uhrzeit)(?:$|[^a-z])"
    r"|created|updated|modified|timestamp|datetime|zeitpunkt|[a-z](?:date|time|zeit|datum)$",
    re.IGNORECASE,
)

# Words of English, German, French and Spanish that count time, and how many of each a year has at most.
_COUNTS_OF_TIME: dict[str, int] = {
    "years?|yrs?|yob|ages?|[a-zäöü]*jahre?|alter|lebensalter|ann[eé]es?|ans|[aâ]ges?|a[nñ]os?|anios?|edad": 1,
    "months?|[a-z]*monate?|mois|mes|meses": 12,
    "weeks?|[a-z]*wochen?|semaines?|semanas?": 53,
    "days?|tage|wochentag|jours?|d[ií]as?": 366,
    "hours?|hrs?|stunden?|heures?|horas?": 366 * 24,
}
_LIFE = 130
YEARS = (1500, 2200)
"""Whole numbers between these may be years."""
_PLACE_IN_TIME = re.compile(
    "|".join(_COUNTS_OF_TIME)
    + "|tag|quarters?|periods?|waves?|rounds?|trials?|visits?|sessions?|minutes?|seconds?|steps?|quartal|minuten?|sekunden?",
)


def names_an_id(name: Hashable) -> bool:
    """Return whether a name says that its column is an identifier."""
    by_words = numbers_a_person(name) or re.fullmatch(_FILE, " ".join(_words(name)))
    return bool(by_words or _ID_NAME.search(str(name)) or _ID_CAMEL.search(str(name)))


def may_name_an_id(name: Hashable) -> bool:
    """Return whether a name may be that of an identifier: of a number, a key, a record."""
    return names_an_id(name) or bool(_MAY_BE_ID_NAME.search(str(name)))


def names_a_person(name: Hashable) -> bool:
    """Return whether a name is that of what tells people apart: patient, case or staff numbers, in English, German, French or Spanish.

    Example:
        >>> [names_a_person(name) for name in ("patient_id", "PatNr", "Fall-Nr.", "case_no", "Kundin_2", "VNR", "worker")]
        [True, True, True, True, True, True, True]
        >>> [names_a_person(name) for name in ("fall", "Mitarbeiter", "num_employees")]
        [False, False, False]
    """
    text = " ".join(_words(name))
    if _HOW_MANY.fullmatch(text):
        return False
    alone = _PERSON_ALONE.fullmatch(text) or _PERSON_SHORT.fullmatch(text)
    return bool(alone or (_PERSON.search(text) and may_name_an_id(name)))


def names_people_or_counts_them(name: Hashable) -> bool:
    """Return whether a name may be that of people or of how many there are: ``Mitarbeiter``, ``employees``, ``Versicherte``."""
    return bool(_PEOPLE_ALONE.fullmatch(" ".join(_words(name))))


def numbers_a_person(name: Hashable) -> bool:
    """Return whether a name says outright that its cells are the numbers of people, so that few of them are no categories.

    Example:
        >>> [numbers_a_person(name) for name in ("patient_id", "PatNr", "Fall-Nr.", "id_client", "MRN")]
        [True, True, True, True, True]
        >>> [numbers_a_person(name) for name in ("patient", "customer_code", "patient_id_type", "member_number_of_visits", "num_customer")]
        [False, False, False, False, False]
    """
    text = " ".join(_words(name))
    short = _PERSON_SHORT.fullmatch(text) and not text.endswith("code") and text != "pid"  # which may be a product's
    return bool(
        short or _PERSON_AND_NUMBER.fullmatch(text) or (_PERSON.search(text) and _ID_NAME.fullmatch(text.split()[-1]))
    )


def names_staff(name: Hashable) -> bool:
    """Return whether a name is that of who treats, teaches, leads or stands by people: one may stand in very many rows of theirs.

    Example:
        >>> [names_staff(name) for name in ("nurse", "Oberarzt", "doctor_name", "médecin traitant", "nurse_grade", "manager_id")]
        [True, True, True, True, False, False]
    """
    left = [word for word, kind in _kinds_of_words(name) if kind not in ("name", "between")]
    return bool(re.fullmatch(_STAFF, " ".join(left)))


def names_relatives(name: Hashable) -> bool:
    """Return whether a name is that of who stands by people, of whom also much else is told, such as their schooling: ``mother``."""
    left = [word for word, kind in _kinds_of_words(name) if kind not in ("name", "between")]
    return bool(re.fullmatch(_RELATIVES, " ".join(left)))


def names_things(name: Hashable) -> bool:
    """Return whether a name is that of names, but of things: ``hospital_name``, ``Straßenname``, ``nom de la ville``; no ``reviewer_name``."""
    of_names = re.search(rf"(?:^|[ a-z])(?:{_ANY_NAME})(?:$| )", " ".join(_words(name)))
    of_agents = any(_AGENT.fullmatch(word) for word, kind in _kinds_of_words(name) if not kind)
    return of_names is not None and not of_agents and not is_name_of_people(name)


def may_count_files(name: Hashable) -> bool:
    """Return whether a name may say how many files people have as well as their numbers: ``n_dossier``."""
    return bool(re.fullmatch(f"n (?:{_FILE})", " ".join(_words(name))))


def is_surely_name_of_people(name: Hashable) -> bool:
    """Return whether a name says outright that its column holds names of people; ``name`` alone may be of things.

    Example:
        >>> [is_surely_name_of_people(name) for name in ("Nachname", "Nom du patient", "LNAME", "1er apellido", "PatName")]
        [True, True, True, True, True]
        >>> [is_surely_name_of_people(name) for name in ("name", "product_name", "Straßenname", "nombre de patients", "last")]
        [False, False, False, False, False]
    """
    kinds, text = {kind for _, kind in _kinds_of_words(name)}, " ".join(_words(name))
    if re.fullmatch(rf"[fl] (?:{_ANY_NAME})", text):
        return True
    is_other = _HOW_MANY.fullmatch(text) or _MAY_BE_NAME.fullmatch(text)
    return not is_other and "" not in kinds and ("surname" in kinds or {"name", "whose"} <= kinds)


def is_name_of_people(name: Hashable) -> bool:
    """Return whether a name says that its column holds people's names, such as ``surname`` and ``Nachname``, or may: ``name``."""
    text = " ".join(_words(name))
    return is_surely_name_of_people(name) or bool(re.fullmatch(_ANY_NAME, text) or _MAY_BE_NAME.fullmatch(text))


def is_half_of_a_name(name: Hashable) -> bool:
    """Return whether a name may be short for first name or last name, if its cells are such."""
    return _words(name) in (["first"], ["last"])


def names_a_birth(name: Hashable) -> bool:
    """Return whether a name is that of births: ``dob``, ``birth_date``, ``Geburtsdatum``."""
    return bool(_BIRTH.search(str(name)))


def names_a_time(name: Hashable) -> bool:
    """Return whether a name is that of times: ``created_at``, ``timestamp``, ``Datum``."""
    return bool(_TIME.search(str(name)))


def names_a_place_in_time(name: Hashable) -> bool:
    """Return whether a name is that of times, or of what counts them: ``week``, ``visit``, ``Jahr``."""
    return names_a_time(name) or any(map(_PLACE_IN_TIME.fullmatch, _words(name)))


def counts_time(name: Hashable, low: float, high: float) -> bool:
    """Return whether a name says that whole numbers count years, months, weeks, days or hours, or an age, and they can.

    Then they are a measure, also where each is there once and none is left out, as in a yearly series: years from 1500 to 2200, or
    at most what a life of 130 years has of them. A name that says identifier or person as well (``visit_day_id``) counts nothing.

    Args:
        low: The lowest of the numbers.
        high: The highest.

    Example:
        >>> counts_time("year", 1900, 2019), counts_time("Alter", 18, 97), counts_time("ageMonths", 0, 999)
        (True, True, True)
        >>> counts_time("age", 1, 500), counts_time("patient", 1, 90), counts_time("day_id", 1, 90)
        (False, False, False)
    """
    if names_an_id(name) or names_a_person(name):
        return False
    in_a_year = [n for words, n in _COUNTS_OF_TIME.items() if any(re.fullmatch(words, word) for word in _words(name))]
    in_a_year += [366] if name == "Tag" else []  # in English, tags name things
    are_years = 1 in in_a_year and YEARS[0] <= low and high <= YEARS[1]
    return are_years or 0 <= low <= high <= _LIFE * max(in_a_year, default=-1)


def _kinds_of_words(name: Hashable) -> list[tuple[str, str]]:
    """Return each word of a name, and what it says in a heading of names; an empty text where it says nothing there."""
    return [
        (word, next((kind for kind, said in _WORDS_OF_NAMES.items() if said.fullmatch(word)), ""))
        for word in _words(name)
    ]


def _words(name: Hashable) -> list[str]:
    """Return the words of a name in lower case, without figures and accents: ``ageMonths`` and ``âge_months_2`` have two."""
    text = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", str(name)))
    return re.findall(r"[^\W\d_]+", re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", text).lower())
