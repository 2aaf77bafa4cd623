"""The words and sentences of the find-instruction task, as data.

In a template, ``[person]`` stands for any character of the episode, ``[object]`` for any of its objects ("silver key"),
``[place]`` for its place ("old mill"), and any other name in brackets for each word of the list of that name in
`FILLERS`. Two of the same kind in one sentence are different ones.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CHARACTERS", "CHATTER", "FILLERS", "OBJECTS", "ORDERS", "PLACES", "TELLINGS"]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CHARACTERS: Final = _words(
    """abbot archer baker bard blacksmith butcher captain carpenter cook dancer doctor farmer fisher gardener
    ghost guard healer herald hunter innkeeper jester judge king knight maid merchant messenger miller monk nun
    page pirate priest prince queen sailor scribe shepherd squire tailor thief troll weaver witch wizard"""
)
_MATERIALS: Final = _words(
    "black brass broken copper crooked golden green heavy iron painted red silver small white"
)
_THINGS: Final = _words(
    """apple arrow axe basket bell book boot bottle bowl bucket candle chain coin cup drum feather flute hammer hat
    helmet key ladder lamp letter map mirror needle pot ring rope shield spoon"""
)
_ALL_OBJECTS: Final = tuple(
    ((i + j) % 5 == 0, f"{material} {thing}")
    for i, material in enumerate(_MATERIALS)
    for j, thing in enumerate(_THINGS)
)
OBJECTS: Final = tuple(
    tuple(name for held_out, name in _ALL_OBJECTS if held_out is part) for part in (False, True)
)
"""Objects for training, and those held out: each of their words is seen in training, with others."""
PLACES: Final = tuple(
    f"{kind} {place}"
    for kind in _words("ancient bright crowded dark dusty empty noisy quiet ruined windy")
    for place in _words(
        """bakery castle chapel courtyard dungeon forest garden harbour hall kitchen library market mill stable
        tavern tower village workshop"""
    )
)
VERBS: Final = ("bring", "give", "hand", "lend", "offer", "sell", "send", "show")
ORDERS: Final = "{verb} the {object} to the {person}"
"""What is told, and what is offered when the turn comes."""
TELLINGS: Final = (
    (
        "the {teller} tells {hearer} to {order}",
        "the {teller} asks {hearer} to {order}",
        "the {teller} turns round and orders {hearer} to {order}",
        "softly the {teller} begs {hearer} to {order}",
        "before leaving the {teller} tells {hearer} to {order}",
        "with a stern look the {teller} commands {hearer} to {order}",
    ),
    (
        "the {teller} urges {hearer} to {order}",
        "from the door the {teller} asks {hearer} to {order}",
        "with a smile the {teller} tells {hearer} to {order}",
    ),
)
"""Sentences that instruct, for training and held out; the hearer is ``you`` or a character."""
REPLACING: Final = (
    "the {teller} has a new plan and tells you to {order} instead",
    "with a smile the {teller} urges you to {order} instead",
)
CANCELLING: Final = (
    "the {teller} has a new plan and tells you to forget the old one",
    "from the door the {teller} urges you to forget the old plan",
)
"""Sentences that revise an instruction: one for training, and one held out."""
OPENING: Final = "you come to the {place} and meet the {0} the {1} the {2} and others"
TURN: Final = "your turn"
MARKERS: Final = ("first", "second", "third", "fourth")

FILLERS: Final = {
    "animal": _words("bear cat cow crow dog donkey fox goose hen horse mouse pig rat snake wolf"),
    "colour": _words("blue brown grey pink purple scarlet yellow"),
    "crime": _words("cheating fighting gambling lying poaching smuggling stealing"),
    "emotion": _words("angry bored happy jealous lonely proud sad sleepy tired worried"),
    "food": _words("bread butter cheese fish honey meat onions pie porridge soup stew turnips"),
    "furniture": _words("barrel bench bed cart chest cupboard shelf stool table"),
    "gesture": _words("bows coughs frowns kneels laughs nods shrugs sighs sneezes waves whistles yawns"),
    "manner": _words("badly boldly calmly carefully gladly loudly quickly quietly slowly twice"),
    "part": _words("back cheek foot head knee neck nose shoulder"),
    "price": _words("dear cheap fair unfair"),
    "relative": _words("brother cousin daughter father mother nephew niece sister son"),
    "season": _words("autumn spring summer winter"),
    "taste": _words("bitter burnt salty sour stale sweet"),
    "time": _words("dawn dusk midnight midsummer noon sunset"),
    "topic": _words("battle dragon feast flood harvest plague rumour storm taxes treasure war wedding"),
    "weather": _words("fog frost hail rain snow sunshine thunder wind"),
    "work": _words("baking counting digging dyeing mending painting praying reading sewing sweeping washing"),
}
CHATTER: Final = (
    # descriptions
    "the [object] lies under the [furniture] in the [place]",
    "a [animal] sleeps on the [furniture] beside the [object]",
    "there is a [colour] stain on the [object]",
    "somebody has left the [object] and some [food] on the [furniture]",
    "the [furniture] smells of [food] and old [animal]",
    "the [weather] of last [season] has damaged the [furniture]",
    "outside the [place] one can hear a [animal] in the [weather]",
    "the [person] wears a [colour] coat and looks [emotion]",
    "the [person] has a [colour] scar on the [part]",
    "a [colour] [animal] is painted above the [furniture]",
    "the walls of the [place] are [colour] and the [furniture] is [colour]",
    # chatter
    "the [person] says that the [food] tastes [taste]",
    "the [person] says that the [object] belongs to the [person]",
    "the [person] whispers to the [person] about the [topic]",
    "the [person] asks the [person] about the [topic] at [time]",
    "the [person] complains about the [weather] and the [topic]",
    "the [person] remembers the [topic] of last [season]",
    "the [person] swears never to eat [food] with [food] again",
    "the [person] accuses the [person] of [crime]",
    "the [person] says that [crime] is worse than [crime]",
    "the [person] hopes for [weather] in [season]",
    "the [person] thinks that the [price] price of the [object] is [price]",
    "the [person] tells a story about a [animal] and a [animal]",
    "the [person] says you look [emotion] today",
    "the [person] talks about a [relative] who likes [food]",
    "the [person] has a [relative] with a [colour] [animal]",
    "everybody says the [topic] will be over by [time]",
    "the [person] sings [manner] about the [topic]",
    "nobody believes what the [person] says about the [topic]",
    # actions of others
    "the [person] [gesture] [manner]",
    "the [person] [gesture] and the [person] [gesture]",
    "the [person] gives the [object] to the [person]",
    "the [person] takes the [object] from the [person]",
    "the [person] hides the [object] behind the [furniture]",
    "the [person] shows you the [object] and [gesture]",
    "the [person] scratches the [part] of a [animal] and goes on [work]",
    "the [person] is busy [work] and [work]",
    "the [person] chases a [animal] [manner] round the [furniture]",
    "the [person] eats [food] with [food] [manner]",
    "the [person] sells some [food] to the [person]",
    "the [person] stops [work] at [time]",
    "the [person] drops the [object] on the [part] of the [person]",
    "the [person] offers you some [taste] [food]",
    "the [person] cleans the [object] [manner]",
    "the [person] looks at you and [gesture] [manner]",
)
