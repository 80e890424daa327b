"""Small networks on the embeddings of single voxels: projections, and learned weights per class (SS-Net)."""

import torch
from torch import Tensor, nn


class Projection(nn.Sequential):
    """Two linear layers with batch normalisation and leaky ReLU between them.

    Parameters
    ----------
    inputs, outputs : int
        Values per voxel.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.LeakyReLU(), nn.Linear(outputs, outputs)
        )


class ClassScorer(nn.Module):
    """One small network per class, which scores the embeddings of that class between 0 and 1.

    Parameters
    ----------
    width : int
        Values per embedding, and of the hidden layer.
    classes : int
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Conv1d(width, classes * width, 1)
        # groups: each class sees its own hidden layer alone
        self.score = nn.Conv1d(classes * width, classes, 1, groups=classes)

    def forward(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        """Return the scores ``(n,)`` of embeddings ``(n, width)`` by the network of each one's class ``(n,)``."""
        hidden = torch.nn.functional.leaky_relu(self.hidden(embeddings.unsqueeze(2)))
        scores = torch.sigmoid(self.score(hidden)).squeeze(2)
        return scores.gather(1, classes.unsqueeze(1)).squeeze(1)
