"""The vocabulary of the generated filings: values and filler (all written for HeadScope)."""

STATES = (
    *"Alabama Alaska Arizona Arkansas California Colorado Connecticut Delaware Florida Georgia Hawaii "
    "Idaho Illinois Indiana Iowa Kansas Kentucky Louisiana Maine Maryland Michigan Minnesota "
    "Mississippi Missouri Montana Nebraska Nevada Ohio Oklahoma Oregon Pennsylvania Tennessee Texas "
    "Utah Vermont Virginia Washington Wisconsin Wyoming".split(),
    "New York",
    "New Jersey",
    "New Mexico",
    "North Carolina",
    "South Dakota",
    "Rhode Island",
)

# What real filings name besides: for telling the state that an answer names first.
ALL_STATES = (
    *STATES,
    "New Hampshire",
    "North Dakota",
    "South Carolina",
    "West Virginia",
    "Massachusetts",
    "District of Columbia",
    "Puerto Rico",
)

CITIES = tuple(
    "Ashford Bexley Carlow Dunmore Elmira Fairview Glendale Hartwell Irving Jasper Kenton Lakewood "
    "Marion Newport Oakdale Preston Quincy Riverton Salem Tipton Upton Vernon Westbrook Yorkville "
    "Zanesville Milford Clayton Dover".split()
)

LAST_NAMES = tuple(
    "Adams Baker Carter Dixon Ellis Foster Grant Hughes Irwin Jensen Keller Lawson Mason Norris Owens Parker "
    "Quinn Reed Shaw Turner Underwood Vance Walsh Young Archer Brooks Collins Drake Fisher Hale".split()
)

FIRST_NAMES = tuple(
    "Alice Anna Carl David Ellen Frank George Helen James John Karen Laura Martin Mary Paul Ruth".split()
)

NAME_FIRST = tuple(
    "Acorn Beacon Cedar Delta Eagle Falcon Granite Harbor Iron Juniper Keystone Linden Maple North".split()
)
NAME_SECOND = tuple("Mills Foods Motors Paper Power Steel Stores Textiles Tools Works Lumber Glass".split())
NAME_SUFFIX = ("Inc", "Corp", "Company")

# Sentences that hold no fact of any task.
FILLER = (
    "The company makes {good} and sells them to stores in many towns.",
    "Most of the {good} are sold in the spring and in the fall.",
    "There are several other makers of {good}, and some of them are larger.",
    "The cost of raw materials rose during the year.",
    "The company rents a warehouse for its {good}.",
    "The company does not depend on any one customer.",
    "Sales of {good} were higher than in the year before.",
    "The company owns the land on which its plant stands.",
    "No law suits of importance are pending.",
    "The business is seasonal, and the winter months are slow.",
    "The company buys its {raw} from several suppliers.",
    "Its {good} are known for their quality.",
    "A new machine for cutting {raw} was bought during the year.",
    "The prices of {raw} change from month to month.",
    "The company competes on price, quality and service.",
    "A small part of the {good} is sold abroad.",
    "The board meets four times a year.",
    "The company believes that its supply of {raw} is safe.",
)
GOODS = tuple(
    "chairs shoes pumps lamps boots tables clocks tools toys coats ropes bottles boxes tiles".split()
)
RAW_MATERIALS = tuple("steel wood wool leather cotton glass copper paper rubber clay".split())
