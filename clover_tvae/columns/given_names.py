"""Given names that are common where people speak English, German, French, Spanish, Italian, Portuguese, Polish, Russian, Turkish or Arabic.

This module knows names of people alone: a column in which many cells begin with one is of people, whatever its heading says.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["is_given_name"]

_GIVEN = frozenset(
    """
    aaron abdul abdullah abigail ada adam adrian adrien agnes agnieszka ahmed ahmet aisha alain alan albert alberto alejandro aleksandra
    alessandro alessia alex alexander alexandra alexandre alexei alexis alfred ali alice alicia alina alvaro amanda amelie amina amy ana
    anastasia andre andrea andreas andrew andrzej angela angelika anita anja anke anna anne annette annika anthony antoine anton antonia
    antonio arthur ashley astrid aurelie aylin ayse barbara bastian beatrice beatriz ben benedikt benjamin benoit bernard bernd bernhard
    bettina betty beverly birgit bjorn boris brandon brenda brian brigitte bruno bryan burak camille carla carlos carmen carol caroline
    carolyn carsten catarina catherine cecile cedric celine cem charles charlotte cheryl chiara chloe chris christelle christian christina
    christine christoph christophe christopher claire clara claudia claudio claus corinne cornelia cristina cynthia damien daniel daniela
    david davide deborah debra denise dennis derek detlef diana diane didier diego dieter dirk dmitri dmitry dominik dominique donald
    donatella donna dora doris dorota dorothea duarte dylan eduardo edward eileen ekaterina elena elif elisa elisabeth elizabeth elke ella
    emanuele emilia emilie emily emine emma emmanuel emmanuelle emre enrico enrique eric erik erika ernst esra esther ethan eva evelyn
    evgeny ewa ewald fabian fabio fabrice fatih fatima fatma federica federico felix fernando filip filipa florian frances francesca
    francesco francis francisca francisco franck francois frank frederic friedrich fritz gabi gabriel gabriela gabriele galina gary gemma
    geoffrey georg george georges gerard gerda gerhard gianluca gilles gillian giorgia giorgio giovanni gisela giulia giuseppe gloria
    goncalo gonzalo grace gregory greta grzegorz guillaume gunter gustav hakan halil halina hamza hannah hans harald hartmut hasan hassan
    hatice hayley heidi heike heinrich heinz helen helena helene helga henri henry herbert hermann hilary hildegard holger horst hossam hugo
    hulya huseyin hussein ibrahim ida ignacio igor ilaria ilse ines inga ingeborg ingrid irene irina isabel isabelle ivan ivana jacek jack
    jacob jacques jadwiga jakob james jan jane janet janice jason javier jean jeffrey jennifer jens jerome jerry jerzy jesse jessica joachim
    joan joana joanna joao johann johannes john jonas jorg jorge jose josefa joseph joshua joyce juan judith julia julian julie julien
    jurgen justin jutta kai karen karin karl karsten katarzyna katharina katherine kathleen kathrin katie keith kemal kenneth kerem kerstin
    kevin khaled khalid kimberly klaus konstantin krystyna krzysztof kurt kyle laetitia lara larisa larry lars laura lauren laurence laurent
    layla lea leanne lena leon leonie leyla lina linda lisa lorenzo lothar louis louise luc luca lucas lucia luciano ludmila ludovic luis
    luisa lukas lukasz lutz maciej madeleine magdalena mahmoud maite malgorzata manfred manuel manuela marc marcel marcelle marcin marco
    marcos marek margaret margaux maria mariam marianne marie marina mario marion mark markus marta martha martin martina martine mary
    massimo mateusz mathias mathieu mathilde matteo matthew matthias mattia maurice mauro max maximilian megan mehmed mehmet melanie melissa
    merve mia michael michal michel michele michelle mickael miguel mike mikhail miriam mohamed mohammad mohammed monika monique moritz
    murat mustafa nadia nadine nancy natalia natalie natalya natasha nathalie nathan nicholas nick nicola nicolas nicole nicolo niklas
    nikolai nina noah nora norbert nour nuno odile olaf oleg olga oliver olivia olivier omar oscar osman otto ozlem pablo pamela paola paolo
    pascal patricia patrick paul paula paulo pawel pedro peggy peter petra philip philipp philippe phillip pierre pietro piotr rachel rafael
    rafal rainer ralf raquel raul raymond rebecca reinhard renate rhys ricardo riccardo richard rita robert roberta roberto robin rocio
    roland rolf ronald rosa ruben rudiger rudolf rui ruth ryan ryszard sabine sabrina salma salvatore samantha samuel sandra sandrine sara
    sarah sean sebastian sebastien selin sergei sergey sergio serkan sevgi sharon shirley siegfried sigrid silke silvia simon simone sofia
    sonja sophia sophie stanislaw stefan stefania stefanie stefano steffen steffi stephan stephane stephanie stephen steven stuart susan
    susana susann susanne sven svenja svetlana sylvain sylvia sylvie tadeusz tanja tatiana tatyana teresa theo theresa thibault thierry
    thomas thorsten tiago tim timo timothy tina tobias tom tomasz tommaso torsten tyler udo ugur ulrich ulrike ursula ute uwe valentina
    valeria valerie vanessa vasco vera veronica veronika vicente victor victoria vincent vincenzo virginie vladimir volker volkmar walter
    werner wilhelm william wojciech wolfgang wolfram xavier yannick yasmin yolanda youssef yuri yusuf yves yvonne zachary zbigniew zeynep
    zoe zofia
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
