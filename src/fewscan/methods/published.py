"""What publications of one family share: the settings of a run that their presets ``paper`` begin with."""

from typing import Any

from fewscan.methods.supervised import Supervised

# Methods published on the left atrium. Their code divides the rate by 10 every 2 500 iterations, which "step" does for
# a run of 6 000 and "step_sixths" for one of 15 000. It flips the first two axes and turns in their plane; "flips"
# flips all axes and turns wherever sides are equal.
LEFT_ATRIUM: dict[str, Any] = {
    "network": {"name": "vnet"},
    "optimiser": {
        "name": "sgd",
        "learning_rate": 0.01,
        "weight_decay": 1e-4,
        "schedule": "step",
        "clip_gradient_norm": None,
    },
    "augmentation": "flips",
    "foreground_fraction": 0.0,
    "batch": {"labelled": 2, "unlabelled": 2},
    "iterations": 6000,
}
LONGER: dict[str, Any] = {**LEFT_ATRIUM, "optimiser": {**LEFT_ATRIUM["optimiser"], "schedule": "step_sixths"}}

# Methods of the collection SSL4MIS, as it trains them on BraTS 2019; but its Dice counts the background as a class, its
# U-Net drops out once more before the head, and its URPC has ten times the rate there (ours is that of its 2-D script,
# for ACDC). Cross teaching is there for ACDC alone.
SSL4MIS: dict[str, Any] = {
    **Supervised.presets["paper"],
    "batch": {"labelled": 2, "unlabelled": 2},
    "hyper": {"cross_entropy_weight": 0.5, "dice_weight": 0.5, "squared_dice": True},
}
