"""Given names that are common where people speak English, German, French, Spanish, Italian, Portuguese, Polish, Russian, Turkish or Arabic.

This module knows names of people alone: a column in which many cells begin with one is of people, whatever its heading says.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["is_given_name"]

_GIVEN = frozenset(
    """
    aaron abdul adam ada adrian agnes agnieszka ahmed ahmet aisha alain alan albert alejandro aleksandra alessandro alex alexander
    alexandra alexandre alfred ali alice alicia alina amanda amelie amina amy ana andre andrea andreas andrew andrzej angela
    anita anja anke anna anne annette antoine anton antonio anthony arthur astrid aylin ayse
    barbara bastian beatrice benjamin ben bernard bernd birgit bernhard bjorn boris brian brigitte bruno
    camille carla carlos carmen carol caroline catherine cecile celine charles charlotte chiara chloe chris christian christina christine
    christoph christophe christopher claire clara claudia claudio claus cem
    daniel daniela david deborah dennis denise diana diego dieter dirk dominik dominique donald donna dora doris dorothea dmitri
    edward elena elif elisabeth elizabeth ella emily emine emilia emma emmanuel emre eric erik erika ernst esra esther eva evelyn
    fabian fabio fatima fatma felix fernando filip florian francesca francesco francis francisco francois frank frederic friedrich fritz
    gabriel gabriele gabriela george georg georges gerard gerda gerhard giovanni giulia giuseppe gloria grace greta guillaume gustav
    hannah hans harald hassan heike heinz heinrich helen helena helga henri henry herbert hermann hugo hussein
    ibrahim ida igor ines inga ingrid irene irina isabel isabelle ivan
    jack jacques jakob james jan jane janet jason javier jean jennifer jens jessica joan joao joachim johann johannes john jonas jorge
    jose joseph joshua juan julia julian julie julien jurgen justin
    kai karen karin karl katarzyna katharina katherine kathrin kenneth kerstin kevin klaus konstantin krzysztof kurt
    lara lars laura laurent lea lena leon leonie leyla lina linda lisa louis louise luc luca lucas lucia luis luisa lukas
    magdalena manfred manuel manuela marc marcel marco marcos margaret maria marie marina mario marion mark markus marta martha
    martin martina martine mary mathieu matthew matthias maurice max maximilian mehmet melanie mia michael michel michele miguel mike
    mohamed mohammed mohammad monika monique moritz murat mustafa
    nadia nadine nancy natalia natalie nathalie nicholas nick nicola nicolas nicole nikolai nina noah norbert nora
    olaf olga oliver olivia olivier omar oscar otto
    pablo pamela paola paolo patricia patrick paul paula paulo pedro peter petra philip philipp philippe pierre piotr
    rachel rafael rainer ralf raul rebecca renate richard rita robert roberto robin roland rolf ronald rosa rudolf ruth ryan
    sabine samuel sandra sara sarah sebastian selin sergei sergio sharon silvia simon simone sofia sonja sophia sophie stefan stefanie
    stephan stephanie stephen steven susan susanne sven svetlana sylvia sylvie
    tanja tatiana teresa theresa thomas thierry tim timothy tina tobias tom tomasz torsten
    udo ulrich ulrike ursula uwe valentina valerie vanessa vera veronika victor victoria vincent vladimir volker
    walter werner wilhelm william wolfgang xavier yasmin yusuf yves yvonne zeynep zoe
    """.split()
)


def is_given_name(word: str) -> bool:
    """Return whether a word is a common given name, or two with a hyphen of which the first is, whatever its case and accents.

    Example:
        >>> [is_given_name(word) for word in ("Jürgen", "ANNA", "Jean-Luc", "Senior", "Vitamin")]
        [True, True, True, False, False]
    """
    text = re.sub("[\\u0300-\\u036f]", "", unicodedata.normalize("NFKD", word)).lower()
    return text.split("-")[0] in _GIVEN
