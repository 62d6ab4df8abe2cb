"""What a word of the glossary is, and the papers that its facts come from."""

from dataclasses import dataclass

ELHAGE = "Elhage et al. 2021, A Mathematical Framework for Transformer Circuits"
VASWANI = "Vaswani et al. 2017, Attention Is All You Need"
WU = "Wu et al. 2024, Retrieval Head Mechanistically Explains Long-Context Factuality"
ZHANG = "Zhang et al. 2025, Query-Focused Retrieval Heads"
JAIN = "Jain and Wallace 2019, Attention is not Explanation"
AINSLIE = (
    "Ainslie et al. 2023, GQA: Training Generalized Multi-Query Transformer Models from Multi-Head "
    "Checkpoints"
)
BELTAGY = "Beltagy et al. 2020, Longformer: The Long-Document Transformer"
SENNRICH = "Sennrich et al. 2016, Neural Machine Translation of Rare Words with Subword Units"
FAN = "Fan et al. 2018, Hierarchical Neural Story Generation"
SPEARMAN = "Spearman 1904, The Proof and Measurement of Association between Two Things"
KULLBACK = "Kullback and Leibler 1951, On Information and Sufficiency"

GROUPS = {
    "model": "The model",
    "attention": "Attention",
    "roles": "Roles of heads",
    "scores": "Scores",
    "prediction": "Predictions",
    "ablation": "Ablating heads",
    "training": "How heads form",
    "retrieval": "Finding facts in a text",
    "figures": "Figures",
}


@dataclass(frozen=True)
class Term:
    """One word of the page.

    Attributes:
        key: its name in code; a role, a measure or a ranking method has the key of its own registry.
        group: a key of `GROUPS`.
        term: what the page and the field call it.
        plain: what it is, for a student; two sentences at most.
        more: a technical sentence or two for those who want them, "" for none.
        see: the paper that a fact in it comes from, "" for none.
    """

    key: str
    group: str
    term: str
    plain: str
    more: str = ""
    see: str = ""
