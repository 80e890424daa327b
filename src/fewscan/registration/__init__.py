"""Registration: displacement fields, how they are learned, judged and applied, and ``fewscan register``.

Where to find what, from the mathematics up to the command (each line imports only from those above it):

=====================================  =================================================================================
deformations of arrays                 `fewscan.displacement` (warp, compose, invert, ...), `jacobian` (folds, spread)
the loss                               `objective` (eqs. 1 to 4), `refine` (that loss on a single pair)
training                               `parameters` (hyper-parameters), `pairing` (which scans of a batch meet),
                                       `network_field` (what a network answers), `predictor` (a trained network on two
                                       arrays), `validation`
from voxels to the world               `registrar` (what every way of registering returns), `physical` (that in mm),
                                       `warping` (images and labels through it), `transform_file`
ways of registering                    `affine`, `align` (how scans are laid first), `classical`, `learned`
``fewscan register``                   `pairs` (from paths to pairs), `quality` (what is measured), `one_pair`,
                                       `record` (JSON and table), `pair_work` (all pairs), `register` (the call itself)
multi-atlas segmentation               `atlases`, `lay` (them onto targets), `fusion`, `multi_atlas`; imports from the
                                       first three lines
=====================================  =================================================================================

Network and training loop: `fewscan.networks.mrregnet`, `fewscan.methods.registration`, `fewscan.training.whole_scans`.
"""
