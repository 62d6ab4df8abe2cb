"""Glossary rows on models, attention, scores and predictions."""

from utils.glossary.term import (
    AINSLIE,
    BELTAGY,
    ELHAGE,
    FAN,
    JAIN,
    KULLBACK,
    SENNRICH,
    VASWANI,
    Term,
)
from utils.roles import registry
from utils.roles.registry import WANG, XIAO

BASICS = (
    Term(
        "token",
        "model",
        "Token",
        "A piece of text that the model reads as one unit: a word, a part of one, a comma. A dot before it "
        "(·cat) is a space.",
        "“The” and “·The” are different tokens, so one does not repeat the other.",
        SENNRICH,
    ),
    Term(
        "position",
        "model",
        "Position",
        "The place of a token in the text, counted from 0. The start token, where there is one, is at 0.",
    ),
    Term(
        "bos",
        "model",
        "Start token (BOS)",
        "A token that stands before every text. Heads with nothing to do often rest on it.",
        "BOS is short for beginning of sequence. Not every model is given one.",
    ),
    Term(
        "layer",
        "model",
        "Layer",
        "One floor of the model: its heads read what the floors below have worked out and add their part. "
        "Layers are counted from 0, the one nearest to the text.",
    ),
    Term(
        "residual_stream",
        "model",
        "Residual stream",
        "What the model knows at one token so far, passed from layer to layer. Each head reads from it and "
        "adds to it.",
        "A vector for each token, to which every layer adds its output.",
        ELHAGE,
    ),
    Term(
        "head",
        "attention",
        "Attention head",
        "A small part of a layer that lets every token look back at earlier ones. L2H3 is head 3 of layer 2, "
        "counted from 0.",
        "Each head has its own queries, keys and values; all heads of a layer work side by side.",
        VASWANI,
    ),
    Term(
        "query",
        "attention",
        "Query (looks from)",
        "The token that looks. In the figures it is the row.",
        "Its vector is compared with the key of every earlier token; the better the match, the more "
        "attention goes there.",
        VASWANI,
    ),
    Term(
        "key",
        "attention",
        "Key (looks at)",
        "The token that is looked at. In the figures it is the column.",
        "What is carried over from there is another vector of that token, its value.",
        VASWANI,
    ),
    Term(
        "attention_pattern",
        "attention",
        "Attention pattern",
        "How much each token (query) looks at each earlier one (key). Every row sums to 100%.",
        "The pattern tells where a head reads, not what it takes from there nor what the model makes of it.",
        JAIN,
    ),
    Term(
        "resting",
        "attention",
        "Resting",
        "A head that finds nothing to do puts its attention on the first token, where it changes little. So "
        "much attention there may mean that the head waits.",
        "The first token is then an attention sink.",
        XIAO,
    ),
    Term(
        "grouped_query_attention",
        "attention",
        "Grouped-query attention",
        "In some models several heads share their keys and values, which saves memory. Each still looks in "
        "its own way and can be switched off alone.",
        "Heads are counted by their queries. Switching one off leaves shared keys and values as they are.",
        AINSLIE,
    ),
    Term(
        "window",
        "attention",
        "Window (local attention)",
        "In some models a layer sees only the last so many tokens. What lies further back is out of its "
        "sight, so chance levels are computed from what it sees.",
        "Also called sliding-window attention.",
        BELTAGY,
    ),
    Term(
        "role",
        "roles",
        "Role",
        "A name for what a head does on test inputs. It is not all that the head does, and a head may have "
        "several roles.",
        "A role is read off the attention pattern alone; that a head looks somewhere does not show that the "
        "model needs it.",
        JAIN,
    ),
    Term(
        "active",
        "roles",
        "Active",
        "A role is active when one of its heads does its job on your text: clearly more than by chance, and "
        "about as much as on the test inputs.",
        f"The score must reach {registry.MIN_LIVE_SHARE:.0%} of the catalog score (or of the threshold if "
        f"that is higher) and pass chance by {registry.MIN_MARGIN} or {registry.Z_ONE_SIDED} standard "
        "errors.",
    ),
    Term(
        "unlisted_active",
        "roles",
        "Unlisted active heads",
        "Heads that the catalog does not list for a role, but that show its pattern on your text. It may be "
        "a trade of theirs, or this text alone.",
        "All heads are searched, so the rule is stricter: the full threshold, and chance by "
        f"{registry.MIN_MARGIN} or {registry.Z_SEARCH} standard errors.",
    ),
    Term(
        "catalog_score",
        "scores",
        "Catalog score",
        "How strongly a head does a job on test inputs, from 0 to 1. It was measured once, and is the same "
        "for every text that you type.",
        "The mean over many test sequences; induction on random tokens that come twice, others on natural "
        "sentences or word lists.",
    ),
    Term(
        "live_score",
        "scores",
        "Live score",
        "How strongly a head does the job on your text, from 0 to 1. It is computed by the same rule as the "
        "catalog score.",
        "For all roles but diffuse: the share of attention that goes where a head of the role would look.",
    ),
    Term(
        "chance",
        "scores",
        "Chance level",
        "The score of a head that looks everywhere alike. The mark on a bar shows it; only what is well "
        "above it counts.",
        "The same score under uniform attention over all that the layer sees. Diffuse has none: there, "
        "looking everywhere alike is the most.",
    ),
    Term(
        "threshold",
        "scores",
        "Threshold",
        "The score from which a head is listed for a role. Each role has its own.",
        ", ".join(
            f"{role.display_name.split(' (')[0].lower()} {role.threshold}"
            for role in registry.ROLES.values()
            if role.measured
        ).capitalize()
        + ".",
    ),
    Term(
        "spread",
        "scores",
        "Spread (entropy)",
        "How evenly a head divides its attention: 1 is everything alike, 0 is all on one token.",
        "The entropy of a row divided by the largest that is possible there, mean over rows.",
    ),
    Term(
        "score_deviation",
        "scores",
        "Spread over test inputs (standard deviation)",
        "How much a head's score differs from one test input to the next. A large one means that the mean "
        "hides much.",
    ),
    Term(
        "little_evidence",
        "scores",
        "Little evidence",
        f"Fewer than {registry.MIN_POSITIONS} places of your text call for the role, so chance may do much. "
        "A longer text tells more.",
    ),
    Term(
        "logit",
        "prediction",
        "Logit",
        "The raw score that the model gives a token as the next one. The higher, the likelier; it can be any "
        "number.",
        "The softmax makes probabilities of the scores of all tokens.",
    ),
    Term(
        "probability",
        "prediction",
        "Probability",
        "How likely the model holds a token to come next. Over all tokens it adds up to 100%.",
    ),
    Term(
        "log_probability",
        "prediction",
        "Log probability",
        "The probability on another scale: halving it counts alike, whether from 80% or from 8%.",
        "Its natural logarithm, in nats; 0 is certain, and the more negative, the less likely.",
    ),
    Term(
        "logit_difference",
        "prediction",
        "Logit difference",
        "The model's raw score for a token minus that of a second one, its closest rival if you name none. "
        "Above 0, the first is ahead.",
        "Unlike a probability it does not depend on what happens to all other tokens.",
        WANG,
    ),
    Term(
        "kl",
        "prediction",
        "KL divergence",
        "How different two predictions are as a whole, over all tokens; 0 means the same.",
        "KL(clean || ablated) in nats: the mean of the difference in log probability, weighed by the clean "
        "prediction.",
        KULLBACK,
    ),
    Term(
        "loss",
        "prediction",
        "Loss",
        "How surprised the model is by the token that really came: 0 if it was certain of it, more the less "
        "it expected it.",
        "The negative log probability of that token (cross-entropy), in nats.",
    ),
    Term(
        "rank",
        "prediction",
        "Rank",
        "The place of a token when all are put in order: 1 is the most likely.",
    ),
    Term(
        "temperature",
        "prediction",
        "Temperature",
        "How daring the model is when it writes: near 0 it takes the most likely token, above 1 it takes "
        "unlikely ones more often.",
        "Logits are divided by it before the softmax.",
    ),
    Term(
        "top_k",
        "prediction",
        "Top-k",
        "When it writes, the model draws among the k most likely tokens alone.",
        "All others get probability 0.",
        FAN,
    ),
    Term(
        "greedy",
        "prediction",
        "Greedy",
        "The model always writes the most likely token, so the same text comes out each time.",
    ),
    Term(
        "seed",
        "prediction",
        "Seed",
        "A number that fixes what is drawn at random. The same seed gives the same draws again.",
    ),
)
