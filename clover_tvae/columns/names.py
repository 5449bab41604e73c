"""What the name of a column says of its cells: identifiers, names of people, their births, times.

This module knows names alone. A name is a hint: cells that contradict it win.
"""

from __future__ import annotations

import re
from collections.abc import Hashable

__all__ = [
    "is_name_of_people",
    "may_name_an_id",
    "names_a_birth",
    "names_a_person",
    "names_a_place_in_time",
    "names_a_time",
    "names_an_id",
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
# ... or the name of a person.
_NAME = re.compile(
    r"(?:(?:full|sur|last|first|family|given|patient|employee|customer|client|vor|nach|familien|pat|emp|doctor|physician|arzt|kunden|mitarbeiter)[ _-]?)?names?|(?:pr[eé])?noms?|nombres?|"
    r"apellidos?|(?:cog)?nome|naam|imi[eę]|nazwisko",
    re.IGNORECASE,
)
_PERSON = re.compile(
    r"patient|subject|person|client|customer|user|member|employee|participant|student|mrn|ssn|kunde|klient|proband",
    re.IGNORECASE,
)
_NUMBER = "(?:id|key|code|number|nummer|num|no|nr)"
# ... as a whole word: "personal" may be spending, and "employees" a number of them.
_PERSON_ALONE = re.compile(rf"(?:{_PERSON.pattern})(?:(?:e?n|al)?{_NUMBER})?", re.IGNORECASE)
# ... or shortened, which needs the word for a number: "fall" alone is a season, "mitarbeiter" may be how many there are.
_PERSON_SHORT = re.compile(
    rf"(?:pat|subj?|empl?|cust|pers|stud|kd|ma|sv|kv|mitarbeiter|versicherten?|fall|case|akten?|policy|account|acct|konto)[ _.-]*{_NUMBER}"
    r"\.?|pid|pnr",
    re.IGNORECASE,
)
_BIRTH = re.compile(
    r"birth|geburt|geboren|gebdat|naiss|nacim|nascit|geboorte|(?:^|[^a-z])(?:dob|geb|born|bday)(?:$|[^a-z])",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"(?:^|[^a-z])(?:times?|ts|t|dates?|epoch|unix|seen|start|end|since|login|zeit|datum|uhrzeit)(?:$|[^a-z])"
    r"|created|updated|modified|timestamp|datetime|zeitpunkt|[a-z](?:date|time|zeit|datum)$",
    re.IGNORECASE,
)

_PLACE_IN_TIME = re.compile(
    r"(?:^|[^a-z])(?:years?|yr|weeks?|days?|months?|quarters?|periods?|waves?|rounds?|trials?|visits?|sessions?|hours?|minutes?|steps?|age|"
    r"jahr|woche|tag|monat|quartal|stunde|alter)(?:$|[^a-z])",
    re.IGNORECASE,
)


def names_an_id(name: Hashable) -> bool:
    """Return whether a name says that its column is an identifier."""
    return bool(_ID_NAME.search(str(name)) or _ID_CAMEL.search(str(name)))


def may_name_an_id(name: Hashable) -> bool:
    """Return whether a name may be that of an identifier: of a number, a key, a record."""
    return names_an_id(name) or bool(_MAY_BE_ID_NAME.search(str(name)))


def names_a_person(name: Hashable) -> bool:
    """Return whether a name is that of what tells people apart: patient, case or staff numbers, in English or German.

    Example:
        >>> [names_a_person(name) for name in ("patient_id", "PatNr", "Fall-Nr.", "case_no", "kunde", "fall", "Mitarbeiter")]
        [True, True, True, True, True, False, False]
    """
    text = str(name).strip()
    alone = _PERSON_ALONE.fullmatch(text) or _PERSON_SHORT.fullmatch(text)
    return bool(alone or (_PERSON.search(text) and may_name_an_id(text)))


def is_name_of_people(name: Hashable) -> bool:
    """Return whether a name says that its column holds people's names, such as ``surname`` and ``Nachname``."""
    return bool(_NAME.fullmatch(str(name)))


def names_a_birth(name: Hashable) -> bool:
    """Return whether a name is that of births: ``dob``, ``birth_date``, ``Geburtsdatum``."""
    return bool(_BIRTH.search(str(name)))


def names_a_time(name: Hashable) -> bool:
    """Return whether a name is that of times: ``created_at``, ``timestamp``, ``Datum``."""
    return bool(_TIME.search(str(name)))


def names_a_place_in_time(name: Hashable) -> bool:
    """Return whether a name is that of times, or of what counts them: ``week``, ``visit``, ``Jahr``."""
    return names_a_time(name) or bool(_PLACE_IN_TIME.search(str(name)))
