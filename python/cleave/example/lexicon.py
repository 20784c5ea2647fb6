"""The words of the example's stories: who, where, what, and which of them go together.

Only data and the classes that hold it; grammar.py makes sentences of them.
"""

from __future__ import annotations

from dataclasses import dataclass

Pronouns = tuple[str, str, str]
SHE: Pronouns = ("she", "her", "her")
HE: Pronouns = ("he", "him", "his")


@dataclass(frozen=True)
class Character:
    """Someone of a story. In a template `{h}` is the name, `{h.he}` the pronoun that fits it."""

    name: str
    kind: str
    adjective: str
    pronouns: Pronouns

    def __str__(self) -> str:
        return self.name

    @property
    def he(self) -> str:
        return self.pronouns[0]

    @property
    def him(self) -> str:
        return self.pronouns[1]

    @property
    def his(self) -> str:
        return self.pronouns[2]

    @property
    def He(self) -> str:
        return self.he.capitalize()

    @property
    def His(self) -> str:
        return self.his.capitalize()

    @property
    def The(self) -> str:
        """The name as it opens a sentence: "The miller", "Mira"."""
        return self.name[0].upper() + self.name[1:]


GIRLS = ("Mira", "Nell", "Lina", "Juno", "Tilda", "Ivy", "Sana", "Wren", "Dora", "Eva")
BOYS = ("Tobin", "Oskar", "Pip", "Bram", "Kofi", "Hugo", "Arlo", "Ravi", "Finn", "Otto")
ANIMALS = ("fox", "rabbit", "mouse", "bear", "otter", "goat", "cat", "squirrel", "duck", "badger")
ADJECTIVES = (
    "little", "small", "young", "brave", "clever", "curious", "gentle", "cheerful", "kind",
)

HELPERS = (
    ("the miller", HE),
    ("the baker", SHE),
    ("the old fisherman", HE),
    ("the gardener", SHE),
    ("the wise owl", SHE),
    ("the shepherd", HE),
    ("the old turtle", HE),
    ("the weaver", SHE),
)


@dataclass(frozen=True)
class Home:
    """`where` follows "lived"; `way` follows "went"."""

    where: str
    way: str


HOMES = (
    Home("in a little house at the edge of the forest", "into the forest"),
    Home("in a village by the sea", "down to the sea"),
    Home("on a farm at the foot of a hill", "up the hill"),
    Home("beside an old mill on the river", "along the river"),
    Home("on an island full of birds", "along the beach"),
    Home("in a warm valley between two mountains", "across the valley"),
    Home("in a tall house in the middle of the town", "through the town"),
    Home("near a wide green meadow", "across the meadow"),
)

HOBBIES = (
    "sing in the garden",
    "look at the stars",
    "draw pictures in the sand",
    "jump over puddles",
    "count the clouds",
    "listen to the wind",
    "pick wild flowers",
    "tell funny stories",
    "play by the stream",
    "collect smooth stones",
)

QUIRKS = (
    "laughed at everything",
    "always carried a basket",
    "knew every path",
    "could run like the wind",
    "never stopped talking",
    "was good at fixing things",
    "loved to eat apples",
    "was afraid of nothing",
)

COLORS = ("red", "blue", "yellow", "green", "silver", "white")
TREASURES = ("kite", "hat", "bell", "drum", "scarf", "ball", "key", "ribbon")


@dataclass(frozen=True)
class Spot:
    """Where a lost thing lies, why it is out of reach, and what reaches it."""

    where: str
    problem: str
    tool: str
    rescue: str


SPOTS = (
    Spot("at the top of a tall tree", "too high", "ladder",
         "climbed up step by step and took the {thing} from the branch"),
    Spot("at the bottom of the old well", "too deep", "long rope",
         "let the rope down and pulled the {thing} up again"),
    Spot("on a rock in the middle of the lake", "too far away", "small boat",
         "rowed across the water and picked up the {thing}"),
    Spot("inside a black cave", "too dark in there", "lantern",
         "held the light up high and found the {thing} behind a stone"),
    Spot("on the roof of the barn", "too high", "ladder",
         "climbed up very slowly and brought the {thing} down"),
    Spot("under a heavy log", "too heavy to move", "strong pole",
         "pushed the log aside and pulled the {thing} out"),
)


@dataclass(frozen=True)
class Gift:
    """Something to make for a friend: the verb, what it needs, who has that, how it is enjoyed."""

    make: str
    made: str
    name: str
    noun: str
    needs: tuple[tuple[str, str], ...]
    joy: str


GIFTS = (
    Gift("bake", "baked", "honey cake", "cake",
         (("flour", "the miller"), ("honey", "the gardener"), ("milk", "the shepherd")),
         "They ate the cake together until only crumbs were left."),
    Gift("bake", "baked", "apple pie", "pie",
         (("flour", "the miller"), ("apples", "the gardener"), ("butter", "the baker")),
         "They ate the warm pie under the trees."),
    Gift("build", "built", "wooden boat", "boat",
         (("wood", "the miller"), ("nails", "the old fisherman"), ("cloth", "the weaver")),
         "They sailed the boat on the pond all afternoon."),
    Gift("sew", "sewed", "warm blanket", "blanket",
         (("wool", "the shepherd"), ("thread", "the weaver")),
         "They sat under the blanket together and watched the stars."),
    Gift("make", "made", "paper lantern", "lantern",
         (("paper", "the wise owl"), ("thread", "the weaver"), ("candles", "the baker")),
         "They hung the lantern by the door, and it shone like a little moon."),
)

CHORES = (
    ("sweep the floor", "swept the floor"),
    ("carry the baskets", "carried the baskets"),
    ("feed the hens", "fed the hens"),
    ("pick the berries", "picked the berries"),
    ("mend the fence", "mended the fence"),
    ("wash the windows", "washed the windows"),
    ("water the plants", "watered the plants"),
)


@dataclass(frozen=True)
class Fear:
    """A fear, how it shows, what it keeps from whom has it, the advice, and how it ends."""

    of: str
    shows: str
    trouble: str
    advice: str
    first: str
    end: str


FEARS = (
    Fear("the dark", "Every night {h.he} hid under the blanket.",
         "One evening the candle went out, and the whole house was black.",
         "The dark is only the day with its eyes closed",
         "{h} took a deep breath and looked out of the window.",
         "There were so many stars that {h.he} forgot to be afraid."),
    Fear("deep water", "{h.He} never went near the lake.",
         "One hot day all the others were swimming, and {h} sat alone on the shore.",
         "Start with one foot, and hold my hand",
         "{h} put one foot into the water, and then the other.",
         "Soon {h.he} was splashing and laughing with all the others."),
    Fear("thunder", "When the sky growled, {h.he} ran under the bed.",
         "One afternoon a great storm came over the roof.",
         "Thunder is only the clouds clapping their hands",
         "{h} listened to the next loud clap and began to count.",
         "When the storm was over, {h.he} was almost sad that it was gone."),
    Fear("high places", "{h.He} never climbed trees or walls.",
         "One day a baby bird fell out of its nest, and someone had to put it back.",
         "Do not look down, look at where you want to go",
         "{h} held the little bird in one hand and climbed up branch by branch.",
         "At the top {h.he} could see the whole valley, and it was beautiful."),
)

YOUNG = (
    ("duckling", "duck"), ("lamb", "sheep"), ("kitten", "cat"), ("puppy", "dog"), ("foal", "horse"),
)

SHELTERS = (
    "under a bush", "behind a wall", "beside the road", "under a big leaf", "next to a puddle",
)

SEARCHES = (
    "by the bridge",
    "behind the barn",
    "near the old oak",
    "at the market",
    "on the other side of the hill",
    "in the tall grass",
)


@dataclass(frozen=True)
class Trouble:
    """What goes wrong for a whole village, and the plan that puts it right."""

    news: str
    effect: str
    idea: str
    work: str
    success: str


TROUBLES = (
    Trouble("The old bridge broke in the storm.", "Nobody could cross the river to the market.",
            "build a new bridge out of strong ropes and wood",
            "Some cut the wood, some tied the ropes, and {h} carried the nails.",
            "In the evening the new bridge was ready, and it did not even shake."),
    Trouble("It did not rain for many weeks.", "The wells were empty and the gardens were brown.",
            "dig a little path for the water from the mountain lake",
            "Everyone dug with spoons and spades, and {h} dug the fastest.",
            "At last the cold clear water ran down into the gardens."),
    Trouble("Deep snow covered all the roads.", "There was no bread left in the houses.",
            "make a sled and bring flour from the mill",
            "Some pulled, some pushed, and {h} showed the way with a lantern.",
            "Before midnight every oven was warm, and the air smelled of bread."),
    Trouble("The great lamp at the harbor went out.", "The boats could not find the way home.",
            "light a hundred small fires along the shore",
            "Everyone brought dry wood, and {h} lit the first fire.",
            "One after another the boats came home over the dark water."),
    Trouble("A strong wind blew away the roof of the school.", "The rain fell on all the books.",
            "make a new roof out of the sails of the old boats",
            "Some sewed, some climbed, and {h} held the ladder.",
            "When the rain came back, not one drop fell on the books."),
)


@dataclass(frozen=True)
class Contest:
    """A day on which the village sees who is best, and how the hero got ready for it."""

    event: str
    wish: str
    doubt: str
    practice: str
    day: str
    end: str


CONTESTS = (
    Contest("the summer race", "run in it", "My legs are too short",
            "ran to the old oak and back",
            "{h} was slow at first, but {h.he} never stopped.",
            "In the end {h.he} ran past all the others and won the golden cup."),
    Contest("the spring song day", "sing in front of everyone", "My voice is too quiet",
            "sang to the trees behind the house",
            "{h} closed {h.his} eyes and thought of the quiet trees.",
            "When the song was over, everyone clapped and asked for one more."),
    Contest("the kite day", "fly the highest kite", "My kite always falls down",
            "flew the kite and changed its tail a little",
            "{h} waited until the wind was just right, and then {h.he} let go.",
            "The kite went up and up until it was smaller than a bird."),
    Contest("the harvest fair", "bring the biggest pumpkin", "My pumpkin is as small as an egg",
            "gave the pumpkin water and told it a story",
            "{h} needed a cart to bring the pumpkin to the fair.",
            "It was so big that the whole village ate soup from it for a week."),
)

SHARE = "a problem is smaller when you share it"
FRIEND = "a good friend is better than gold"
BRAVE = "being brave means to try, even when you are afraid"
ASK = "help often comes to those who ask for it"
SMALL = "small hands can do great things"
KIND = "a kind word opens every door"
