"""A small grammar of short stories: someone, somewhere, a wish or a trouble, help, an ending.

A story keeps its people, pronouns, things and places from the first sentence to the last, so that a
model that learns it shows whether attention works. Words and what fits together: lexicon.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

from . import lexicon as lex
from .lexicon import Character

T = TypeVar("T")


def article(words: str) -> str:
    """`words` with "a" or "an" before them."""
    return ("an " if words[0] in "aeio" else "a ") + words


class Storyteller:
    """Tells stories; the same seed tells the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def story(self) -> str:
        """One story: two to four paragraphs separated by newlines, ASCII only."""
        self.home = self.pick(lex.HOMES)
        names = self.random.sample(lex.GIRLS + lex.BOYS, 2)
        self.h, self.f = (self.character(name) for name in names)
        plot, lessons = self.pick((
            (self.lost_thing, (lex.ASK, lex.SHARE, lex.KIND)),
            (self.gift, (lex.FRIEND, lex.KIND, lex.ASK)),
            (self.fear, (lex.BRAVE, lex.SHARE, lex.FRIEND)),
            (self.lost_child, (lex.KIND, lex.SMALL, lex.ASK)),
            (self.village_trouble, (lex.SMALL, lex.SHARE)),
            (self.contest, (lex.BRAVE, lex.SMALL, lex.FRIEND)),
        ))
        return "\n".join([self.opening(), *plot(), self.closing(lessons)])

    # Parts

    def pick(self, choices: Sequence[T]) -> T:
        return self.random.choice(choices)

    def character(self, name: str) -> Character:
        girl = name in lex.GIRLS
        person = "girl" if girl else "boy"
        kind = self.pick(lex.ANIMALS) if self.random.random() < 0.6 else person
        return Character(name, kind, self.pick(lex.ADJECTIVES), lex.SHE if girl else lex.HE)

    def helper(self, name: str | None = None) -> Character:
        name, pronouns = self.pick([each for each in lex.HELPERS if name in (None, each[0])])
        return Character(name, name.split()[-1], "", pronouns)

    def say(self, *templates: str | Sequence[str], **slots: object) -> str:
        """A paragraph: one choice of each template, filled with the story's people and `slots`."""
        chosen = [each if isinstance(each, str) else self.pick(each) for each in templates]
        # Lexicon entries hold templates themselves, hence the second filling.
        people = {"h": self.h, "f": self.f, "home": self.home}
        text = " ".join(each for each in chosen if each)
        return text.format(**people, **slots).format(**people, **slots)

    def opening(self) -> str:
        hero = f"{self.h.adjective} {self.h.kind}"
        friend = f"{self.f.adjective} {self.f.kind}"
        return self.say(
            ("Once upon a time, there was {hero} named {h}. {h.He} lived {home.where}.",
             "Once upon a time, {hero} named {h} lived {home.where}.",
             "Long ago, {hero} named {h} lived {home.where}.",
             "There was once {hero} named {h} who lived {home.where}.",
             "{h} was {hero} who lived {home.where}."),
            ("{h.He} loved to {hobby}.", "Every day {h.he} liked to {hobby}.",
             "More than anything, {h.he} loved to {hobby}."),
            ("{h.His} best friend was {f}, {friend} who {quirk}.",
             "{h.He} had a friend named {f}, {friend} who {quirk}."),
            hero=article(hero), friend=article(friend), hobby=self.pick(lex.HOBBIES),
            quirk=self.pick(lex.QUIRKS))

    def closing(self, lessons: Sequence[str]) -> str:
        return self.say(
            ("From that day on, {h} knew that {lesson}.",
             "{h} learned that {lesson}.",
             'And {h} said to {f}, "Now I know that {lesson}."',
             "That night {h} fell asleep with a smile, for {h.he} had learned that {lesson}."),
            ("", "", "And they all lived happily in their home.", "The end."),
            lesson=self.pick(lessons))

    def thanks(self) -> Sequence[str]:
        return ('"Thank you!" said {h}.', "{h} thanked {p.him} with all {h.his} heart.",
                '"I will never forget this," said {h}.')

    # Plots: each gives the paragraphs between the opening and the closing.

    def lost_thing(self) -> Iterator[str]:
        thing = self.pick(lex.TREASURES)
        full = f"{self.pick(lex.COLORS)} {thing}"
        spot = self.pick(lex.SPOTS)
        p = self.helper()
        slots = dict(thing=thing, full=full, spot=spot, p=p)
        yield self.say(
            ("One day {h} lost {h.his} {full}.", "One morning {h.his} {full} was gone.",
             "One windy day the wind took away {h.his} {full}."),
            ("{h.He} looked {a} and {b}, but it was not there.",
             "{h} and {f} looked for it {a} and {b}.",
             "{h.He} was so sad that {h.he} could not eat."),
            ('Then {f} called, "Look! Your {thing} is {spot.where}!"',
             "At last they saw the {thing} {spot.where}."),
            ("But it was {spot.problem}.", '"It is {spot.problem}," said {h}.',
             '"Oh no," said {h}, "it is {spot.problem}."'),
            a=self.pick(lex.SEARCHES[:3]), b=self.pick(lex.SEARCHES[3:]), **slots)
        yield self.say(
            ("So they went {home.way} and asked {p} for help.",
             "They ran {home.way} to find {p}.", "Just then {p} came by."),
            ('"I have a {spot.tool}," said {p}. "You may use it."',
             '{p.The} thought for a moment and gave them a {spot.tool}.',
             '"Do not cry," said {p}. "Take my {spot.tool}."'),
            ("{h} {spot.rescue}.", "With the {spot.tool}, {h} {spot.rescue}.",
             "{f} held the {spot.tool}, and {h} {spot.rescue}."),
            self.thanks(), **slots)

    def gift(self) -> Iterator[str]:
        gift = self.pick(lex.GIFTS)
        need, keeper = self.pick(gift.needs)
        chore, done = self.pick(lex.CHORES)
        slots = dict(g=gift, a=article(gift.name), need=need, p=self.helper(keeper), chore=chore,
                     done=done)
        yield self.say(
            ("It was almost the birthday of {f}.", "Soon it would be the birthday of {f}.",
             "One day {f} was sick and had to stay in bed."),
            ("{h} wanted to {g.make} {a} for {f.him}.", '"I will {g.make} {a} for {f}," said {h}.'),
            ("But there was no {need} in the house.", "But {h.he} had no {need}.",
             "Everything was ready, but the {need} was missing."), **slots)
        yield self.say(
            ("So {h} went {home.way} to ask {p}.", "{h} walked {home.way} until {h.he} met {p}."),
            ('"I will give you some {need} if you {chore}," said {p}.',
             '"You can have all the {need} you want," said {p}, "but first help me to {chore}."'),
            ("{h} {done} until the sun went down.",
             "So {h} {done}, and {h.he} sang while {h.he} worked.",
             "It was hard work, but {h} {done}."),
            ("Then {p} gave {h.him} the {need}.", "{p.The} was happy and gave {h.him} the {need}."),
            **slots)
        yield self.say(
            ("The next day {h} {g.made} the {g.noun} and brought it to {f}.",
             "{h} ran home and {g.made} {a}, and then {h.he} brought it to {f}."),
            ('"This is the best {g.noun} in the world!" said {f}.',
             '"For me?" asked {f}, and {f.his} eyes were shining.',
             "{f} was so happy that {f.he} danced around the room."),
            "{g.joy}", **slots)

    def fear(self) -> Iterator[str]:
        fear = self.pick(lex.FEARS)
        yield self.say(
            ("But {h} had a secret. {h.He} was afraid of {x.of}.",
             "There was only one thing {h} did not like. {h.He} was afraid of {x.of}."),
            fear.shows, fear.trouble, x=fear)
        yield self.say(
            ("{f} sat down next to {h.him}.", "{f} saw it and came to {h.him}.",
             "Then {f} took {h.his} hand."),
            ('"{x.advice}," said {f}.', '"I was afraid once too," said {f}. "{x.advice}."'),
            fear.first,
            ("{h.His} heart was beating fast.", "At first {h.his} knees were shaking.", ""),
            fear.end, x=fear)

    def lost_child(self) -> Iterator[str]:
        child, parent = self.pick(lex.YOUNG)
        wrong, right = self.random.sample(lex.SEARCHES, 2)
        slots = dict(child=child, parent=parent, wrong=wrong, right=right, p=self.helper(),
                     shelter=self.pick(lex.SHELTERS))
        yield self.say(
            ("One cold morning {h} went {home.way} and heard someone crying.",
             "One day {h} and {f} were walking {home.way} when they heard a small voice."),
            ("A little {child} was sitting {shelter}.", "It was a little {child} {shelter}."),
            ('"I cannot find my mother," said the {child}.',
             '"Please help me," said the {child}. "I have lost my mother."'),
            ('"Do not worry," said {h}. "We will find her."',
             '{h} gave the {child} something to eat. "We will find her," {h.he} said.'), **slots)
        yield self.say(
            ("First they looked {wrong}, but nobody was there.",
             "They looked {wrong}, but they found only a sleepy frog."),
            ("Then they asked {p}.", "Then they met {p} and told {p.him} everything."),
            ('"I saw a {parent} {right}," said {p}. "She was calling for her {child}."',
             '"A {parent} is waiting {right}," said {p}.'),
            ("They ran as fast as they could.", "{h} carried the {child} all the way.",
             "{f} knew a short way, and they hurried."),
            ("And there was the mother! The {child} jumped into her arms.",
             "And there she was. The {parent} cried with joy and kissed her {child}."),
            ('"How can I ever thank you?" asked the {parent}. "Be our friend," said {h}.',
             '"You have a good heart, {h}," said the {parent}.'), **slots)

    def village_trouble(self) -> Iterator[str]:
        trouble = self.pick(lex.TROUBLES)
        p = self.helper()
        yield self.say(
            ("One year something bad happened.", "Then one day there was trouble.",
             "But one morning everyone was worried."),
            trouble.news, trouble.effect,
            ('"What shall we do?" asked {p}.', '"This is very bad," said {p}.',
             "{p.The} shook {p.his} head, and nobody knew what to do."), p=p)
        yield self.say(
            ("{h} thought about it all night.", "{h} and {f} sat down and thought for a long time.",
             "{h} was small, but {h.he} had an idea."),
            ('"We could {x.idea}," said {h}.', '"I know!" said {h}. "We can {x.idea}!"'),
            ("Some of them laughed, but {p} did not.", '"That is a good plan," said {p}.',
             "At first nobody believed it, but {f} did."),
            trouble.work, trouble.success,
            ("Then there was a great feast, and {h} sat in the best chair.",
             '"Three cheers for {h}!" called {p}.', "Everyone sang and danced until morning."),
            x=trouble, p=p)

    def contest(self) -> Iterator[str]:
        contest = self.pick(lex.CONTESTS)
        yield self.say(
            ("Soon it was time for {x.event}.", "Every year there was {x.event}.",
             "One day everyone was talking about {x.event}."),
            ("{h} wanted to {x.wish} so much.", "{h} dreamed that {h.he} could {x.wish}."),
            ('"{x.doubt}," {h.he} said to {f}.', '"But I cannot do it," said {h}. "{x.doubt}."'),
            ('"Then we will practice," said {f}.', '"Try a little every day," said {f}.',
             '"I believe in you," said {f}.'), x=contest)
        yield self.say(
            ("So every morning {h} {x.practice}.", "From then on {h} {x.practice} every day."),
            ("Sometimes {h.he} wanted to stop, but {f} stayed with {h.him}.",
             "It was not easy, but each day it went a little better.",
             "Even when it rained, {h.he} did not give up."),
            ("At last the great day came.",
             "Then the day of {x.event} came, and everyone was there."),
            contest.day, contest.end,
            ('"I knew it!" cried {f}.', "{f} jumped up and down for joy.",
             "{h} gave {f} a big hug."), x=contest)


def stories(count: int, seed: int) -> list[str]:
    """`count` stories."""
    teller = Storyteller(seed)
    return [teller.story() for _ in range(count)]
