"""Glossary rows on ablating heads, on training, on retrieval heads and on figures."""

from utils.glossary.term import ELHAGE, SPEARMAN, WU, ZHANG, Term
from utils.roles.registry import OLSSON, WANG

EXPERIMENTS = (
    Term(
        "ablation",
        "ablation",
        "Switching a head off (ablation)",
        "What the head would add is taken away, and the model goes on without it. What then changes shows "
        "what the head did for this prediction.",
        "That it can be missed does not mean that it is not used: another head may stand in.",
        WANG,
    ),
    Term(
        "zero",
        "ablation",
        "Zero ablation",
        "The head's output is replaced by zeros before it is mixed into the residual stream; all else stays "
        "as it was.",
        "At every position. Zeros are nothing that the model is used to, so some of the change may come from "
        "that.",
    ),
    Term(
        "mean",
        "ablation",
        "Mean ablation",
        "The head's output is replaced by what it puts out on average over test sentences. The model loses "
        "what is special here, not the head's usual part.",
        "The mean over all positions but the first of the natural test sentences.",
        WANG,
    ),
    Term(
        "interchange",
        "ablation",
        "Interchange (activation patching)",
        "Chosen heads get the values that they have on a second prompt of as many tokens. What then changes "
        "is what these heads know of the difference between the two.",
        "Recovered: 0 for the second prompt's own logit difference, 1 for the first one's.",
        WANG,
    ),
    Term(
        "total_effect",
        "ablation",
        "Total effect",
        "What is lost when a head is ablated, through all that later heads and layers make of what "
        "it writes.",
        "Large beside a small direct effect: it works through others. Small beside a large one: backed up.",
    ),
    Term(
        "direct_effect",
        "ablation",
        "Direct effect (direct logit attribution)",
        "What a head itself adds to a token's logit, the final norm's scale held fixed. All heads, MLPs, "
        "embeddings and biases add up to the logit.",
        "For a pair it is the difference of two logits: the head may raise the one or lower the other.",
        ELHAGE,
    ),
    Term(
        "promoted_tokens",
        "ablation",
        "Promoted and suppressed tokens",
        "The tokens whose logits a head raises or lowers most at a position, read off what it writes.",
        "Centred over the vocabulary: what it adds to all tokens alike counts for nothing.",
        ELHAGE,
    ),
    Term(
        "others_without",
        "ablation",
        "Other heads, without it",
        "The role scores of all other heads, with all heads on and with the chosen ones ablated. So one sees "
        "which heads need what the ablated ones write.",
        "A change counts where fewer than 5% of random sets of the same layers change the head as much.",
    ),
    Term(
        "logit_lens",
        "ablation",
        "Logit lens",
        "What the output layer would say if the model ended after a layer. It shows where along the layers "
        "the answer forms.",
        "Nothing is tuned for it, and in early layers it says little.",
        "Nostalgebraist 2020, Interpreting GPT: the logit lens",
    ),
    Term(
        "backup_head",
        "ablation",
        "Backup head",
        "A head that does another head's work once that one is off. It is why a head can be missed and yet "
        "be used.",
        "",
        WANG,
    ),
    Term(
        "random_control",
        "ablation",
        "Random control",
        "As many heads, drawn at random, are ablated for comparison. A set of heads is special only if the "
        "random ones do less.",
        "One draw says little: many are made, with a seed, without the heads under test.",
    ),
    Term(
        "layer_matched",
        "ablation",
        "Layer-matched",
        "A random control that takes as many heads from each layer as the tested set has. Lower layers often "
        "matter more, so this is the fairer comparison.",
    ),
    Term(
        "interval",
        "ablation",
        "Interval",
        "The range that holds the middle 95% of the random draws. What lies outside is hardly chance.",
    ),
    Term(
        "continuation",
        "ablation",
        "Continuation",
        "What the model writes when it goes on with your text, all heads on beside some off. The first "
        "difference is marked.",
    ),
    Term(
        "checkpoint",
        "training",
        "Checkpoint",
        "A moment of the training at which the model was measured. The slider goes from one to the next.",
    ),
    Term(
        "repeated_accuracy",
        "training",
        "Repeated-sequence accuracy",
        "Random tokens are shown twice: how often the model knows the next one the second time. Only who "
        "looks back can.",
        "Greedy, on the second half of sequences of random tokens.",
        OLSSON,
    ),
    Term(
        "filing_accuracy",
        "training",
        "Accuracy on filings",
        "How often the model answers a question about a made-up company filing just right.",
    ),
    Term(
        "induction_circuit",
        "training",
        "Induction circuit",
        "Two heads that work together: a previous-token head tells each token what came before it, and an "
        "induction head above uses that to find what comes next. So the first kind must form first.",
        "The upper head's keys are made of what the lower head wrote (K-composition).",
        ELHAGE,
    ),
    Term(
        "scaffold",
        "training",
        "Scaffold",
        "For a short part of the training, an extra task pointed a few heads at what heads of their role "
        "look at. Heads that formed then do not show how they form by themselves.",
        "An extra loss, minus the logarithm of the attention on the target; it was then taken away.",
    ),
    Term(
        "needle",
        "retrieval",
        "Needle",
        "The sentence of a long text that holds the answer to the question. All else is the haystack.",
    ),
    Term(
        "retrieval_head",
        "retrieval",
        "Retrieval head",
        "A head that fetches a fact from far back in the text when the model answers a question.",
        "In large models under 5% of the heads; switching them off hurts answers far more than random ones.",
        WU,
    ),
)
# What stands after the ranking methods.
RETRIEVAL = (
    Term(
        "null_query",
        "retrieval",
        "Null query (calibration)",
        "The same text with “N/A” in the question's place. What a head looks at then, it looks at whatever "
        "is asked, so QRHead takes it away.",
        "",
        ZHANG,
    ),
    Term(
        "rank_correlation",
        "retrieval",
        "Rank correlation",
        "How alike two orders of the heads are: 1 for the same order, 0 for no likeness, -1 for the reverse.",
        "Spearman's coefficient: the correlation of the ranks, heads that tie sharing the mean of theirs.",
        SPEARMAN,
    ),
    Term(
        "overlap",
        "retrieval",
        "Overlap",
        "How many heads two lists share. Some are shared by chance, so that number stands beside it.",
        "The Jaccard index: heads in both lists divided by heads in either.",
    ),
    Term(
        "relative_depth",
        "retrieval",
        "Relative depth",
        "How far up the model a layer is: 0 is the first, 1 the last. Models of different size are compared "
        "by it, since they share no heads.",
    ),
    Term(
        "head_grid",
        "figures",
        "Map of all heads",
        "Layers go down, heads go across, a cell a head. The letter is its role, the strength of the colour "
        "how much it does on your text; other views colour the cells by a score, the sink or an effect.",
    ),
    Term(
        "heatmap",
        "figures",
        "Attention heatmap",
        "One head's pattern: the row is the token that looks, the column the one that is looked at. The "
        "stronger the colour, the more attention.",
    ),
    Term(
        "head_view",
        "figures",
        "Lines between tokens (BertViz)",
        "The same pattern as lines: left the token that looks, right what it looks at. A stronger line is "
        "more attention.",
    ),
    Term(
        "effect_map",
        "figures",
        "Effect map",
        "Every head is switched off alone, and the cell shows what that does to the prediction. It finds the "
        "heads that cannot be missed, not those that share a job.",
    ),
    Term(
        "position_view",
        "figures",
        "At every position",
        "What the model expects after each token of your text, all heads on beside some off. Where the two "
        "differ is marked.",
    ),
    Term(
        "training_curves",
        "figures",
        "Training curves",
        "Loss, accuracy and each role's best score against the tokens seen. The best head of a role need not "
        "be the same one all the time.",
    ),
)
