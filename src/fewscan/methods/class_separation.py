"""Classes whose voxels keep close to prototypes of their class (Alonso et al. 2021; SS-Net, Wu et al. 2022).

(1)  m = P(f),  q = Q(m),  a = A_c(q),  b = B_c(m)
(2)  L_c = mean over classes c, voxels i and prototypes j of c of  a_i b_j (1 - cos(q_i, m_j))

f are a voxel's last features, P and Q a projection and a prediction of it, A_c and B_c small networks of each class c
whose scores are the weights of eq. 2. Prototypes are projections of correctly predicted labelled voxels of this step,
chosen by b. No gradient passes into them, nor from the weights into what they score. A voxel's class is its label, or
its most probable one.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from fewscan.losses.prototypes import embeddings_at, prototype_contrast, sample_voxels, select_prototypes
from fewscan.methods.base import HyperParameters
from fewscan.networks.projection import ClassScorer, Projection


class SeparationParameters(HyperParameters):
    """Of eqs. 1 and 2; the defaults are the published values."""

    embedding: int = Field(32, ge=1, description="values per projected voxel; public code")
    prototypes: int = Field(32, ge=1, description="per class; Wu et al. 2022")
    highest_scored: bool = Field(False, description="prototypes of the highest score; public code: of the lowest")
    voxels_per_class: int = Field(1024, ge=2, description="of either stream, for the contrast; public code: all")


class ClassSeparation(nn.Module):
    """What projects, predicts and scores features, and the loss of eq. 2.

    Parameters
    ----------
    hyper : SeparationParameters
    width : int
        Channels of the features.
    classes : int
        Background included.
    """

    def __init__(self, hyper: SeparationParameters, *, width: int, classes: int) -> None:
        super().__init__()
        self.hyper, self.classes = hyper, classes
        self.projection = Projection(width, hyper.embedding)
        self.prediction = Projection(hyper.embedding, hyper.embedding)
        self.query_scorer = ClassScorer(hyper.embedding, classes)
        self.prototype_scorer = ClassScorer(hyper.embedding, classes)

    def forward(self, features: Tensor, predicted: Tensor, labels: Tensor) -> Tensor:
        """Return eq. 2 over labelled patches, which come first, plus eq. 2 over the others.

        Parameters
        ----------
        features : Tensor
            ``(batch, width, *spatial)``.
        predicted : Tensor
            Most probable classes ``(batch, *spatial)``.
        labels : Tensor
            ``(labelled, *spatial)``.
        """
        hyper, labelled = self.hyper, len(labels)
        known = sample_voxels(labels, self.classes, per_class=hyper.voxels_per_class)
        guessed = sample_voxels(predicted[labelled:], self.classes, per_class=hyper.voxels_per_class)
        of_known, of_guessed = labels.flatten()[known], predicted[labelled:].flatten()[guessed]
        chosen = torch.cat([embeddings_at(features[:labelled], known), embeddings_at(features[labelled:], guessed)])
        projected = self.projection(chosen)  # eq. 1
        queries = self.prediction(projected)
        weights = self.query_scorer(queries.detach(), torch.cat([of_known, of_guessed]))
        candidates = projected[: len(known)].detach()
        scores = self.prototype_scorer(candidates, of_known)
        correct = predicted[:labelled].flatten()[known] == of_known
        best = select_prototypes(scores, of_known, correct, count=hyper.prototypes, highest=hyper.highest_scored)
        memory = (candidates[best], of_known[best], scores[best])
        split = [len(known), len(guessed)]
        streams = zip(queries.split(split), (of_known, of_guessed), weights.split(split), strict=True)
        return torch.stack([prototype_contrast(*stream, *memory) for stream in streams]).sum()  # eq. 2
