"""Functions on images of a telescope, and statistics of stacks of them, in memory or in files: numpy in, numpy out."""

from runstart.images.alignment import LEAST_STARS, Alignment, align_images
from runstart.images.background import BackgroundSubtracted, subtract_background
from runstart.images.bad_pixels import MaskBit, find_bad_pixels
from runstart.images.calibration import Calibrated, calibrate
from runstart.images.color import MOST_CHANNELS, ColorChannel, compose_color
from runstart.images.cosmic_rays import CleanedFrame, reject_cosmic_rays
from runstart.images.cropping import crop_center, crop_to_common
from runstart.images.masters import make_master, middle_level
from runstart.images.overscan import Overscan, subtract_overscan
from runstart.images.previews import Previews, make_previews
from runstart.images.quality import FrameStatistics, measure_frame, robust_noise
from runstart.images.reprojection import reproject_and_sum
from runstart.images.scaling import auto_limits, gamma_table, to_bytes
from runstart.images.sections import Section, parse_section
from runstart.images.sources import SOURCE_DTYPE, SourceFlag, extract_sources, measure_seeing
from runstart.images.stacking import stack_files
from runstart.images.statistics import (
    MeanPlanes,
    clipped_mean_planes,
    mean,
    median,
    nansum,
    sigma_clipped_mean,
    weighted_mean,
)

__all__ = [
    "LEAST_STARS",
    "MOST_CHANNELS",
    "SOURCE_DTYPE",
    "Alignment",
    "BackgroundSubtracted",
    "Calibrated",
    "CleanedFrame",
    "ColorChannel",
    "FrameStatistics",
    "MaskBit",
    "MeanPlanes",
    "Overscan",
    "Previews",
    "Section",
    "SourceFlag",
    "align_images",
    "auto_limits",
    "calibrate",
    "clipped_mean_planes",
    "compose_color",
    "crop_center",
    "crop_to_common",
    "extract_sources",
    "find_bad_pixels",
    "gamma_table",
    "make_master",
    "make_previews",
    "mean",
    "measure_frame",
    "measure_seeing",
    "median",
    "middle_level",
    "nansum",
    "parse_section",
    "reject_cosmic_rays",
    "reproject_and_sum",
    "robust_noise",
    "sigma_clipped_mean",
    "stack_files",
    "subtract_background",
    "subtract_overscan",
    "to_bytes",
    "weighted_mean",
]
