"""elastix: ``python run_elastix.py JOBS.json SECONDS.json``; the options hold the stages and what they change.

Images are copies and the object interface is used: views with the functional interface end the process.
"""

import tempfile

import itk
import numpy as np
from jobs import OPTIONS, SEED, THREADS, serve


def load(path):
    """Return the image in float32, detached from its reader."""
    read = itk.imread(path, itk.F)
    image = itk.image_from_array(itk.array_from_image(read))
    image.SetSpacing(read.GetSpacing())
    image.SetOrigin(read.GetOrigin())
    image.SetDirection(read.GetDirection())
    return image


def parameters():
    """Return the parameter maps of all stages."""
    stages = itk.ParameterObject.New()
    for name in OPTIONS["stages"]:
        stage = itk.ParameterObject.GetDefaultParameterMap(name, OPTIONS["resolutions"], OPTIONS["spacing_mm"])
        stage["RandomSeed"] = [str(SEED)]
        stage["MaximumNumberOfIterations"] = [str(OPTIONS["iterations"])]
        stages.AddParameterMap(stage)
    return stages


def register(fixed, moving):
    """Return the transform parameters of all stages."""
    method = itk.ElastixRegistrationMethod.New(fixed, moving)
    method.SetParameterObject(parameters())
    method.SetNumberOfThreads(THREADS)
    method.LogToConsoleOff()
    method.UpdateLargestPossibleRegion()
    return method.GetTransformParameterObject()


def displacement(fixed, moving, transform):
    """Return the field of all stages on the fixed grid."""
    transformix = itk.TransformixFilter.New(moving)
    transformix.SetTransformParameterObject(transform)
    transformix.ComputeDeformationFieldOn()
    transformix.LogToConsoleOff()
    with tempfile.TemporaryDirectory() as folder:  # it writes the field as a file too
        transformix.SetOutputDirectory(folder)
        transformix.UpdateLargestPossibleRegion()
        field = np.array(itk.array_from_image(transformix.GetOutputDeformationField()))
    return field.transpose(*range(field.ndim - 2, -1, -1), field.ndim - 1)


itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(THREADS)
serve(load=load, register=register, displacement=displacement, packages=["itk-elastix", "itk-core"])
