"""The named layouts: tables of the paper with ours beside. Data only."""

from probe.report import layout_fewshot, layout_groups, layout_linear, layout_tuned
from probe.report.layout import Layout

LAYOUTS: dict[str, Layout] = {
    "table1": Layout(
        what="what weight decay in pretraining does to linear probes of the same and of another dataset",
        sections=[layout_linear.table1()],
    ),
    "supervised": Layout(
        what="ImageNet networks with labels: one, wide, concatenated and distilled, probed and fine-tuned",
        sections=[layout_linear.supervised(), *layout_tuned.supervised()],
    ),
    "swav": Layout(what="SWAV networks, probed and fine-tuned", sections=[layout_linear.swav(), layout_tuned.swav()]),
    "seer": Layout(
        what="SEER networks, probed, and fine-tuned at 384 px", sections=[layout_linear.seer(), layout_tuned.seer()]
    ),
    "vit": Layout(
        what="vision transformers at 384 px, probed and fine-tuned",
        sections=[*layout_linear.vit(), *layout_tuned.vit()],
    ),
    "fewshot": Layout(what="few-shot episodes of miniImageNet and CUB, ResNet18", sections=[layout_fewshot.fewshot()]),
    "camelyon17": Layout(
        what="hospitals of Camelyon17: tuned on known or on other hospitals, ERM and vREx",
        sections=[layout_groups.camelyon17()],
    ),
}
