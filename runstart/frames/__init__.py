"""Frames of an electron microscope: counting, centre of mass, virtual detectors, sums; numpy in, numpy out."""

from runstart.frames.beam_compensation import beam_shifts
from runstart.frames.binning import bin_frames
from runstart.frames.center_of_mass import center_of_mass
from runstart.frames.counting import count_electrons
from runstart.frames.frame_pass import FramePass
from runstart.frames.geometry import crop_mask, detector_masks, find_center
from runstart.frames.maps import center_of_mass_map, frame_count_map, virtual_image_maps
from runstart.frames.model import DENSE_DTYPES, MISSING_POSITION, DenseFrames, Frames, Shape, SparseFrames
from runstart.frames.partial import Partial, merge_partials, partial_from_bytes, partial_to_bytes
from runstart.frames.phase import integrate_phase, phase_per_pixel
from runstart.frames.recipe import DETECTOR_NAME, Counting, Crop, Detector, Recipe
from runstart.frames.sums import sum_frames
from runstart.frames.virtual_images import virtual_images

__all__ = [
    "DENSE_DTYPES",
    "DETECTOR_NAME",
    "MISSING_POSITION",
    "Counting",
    "Crop",
    "DenseFrames",
    "Detector",
    "FramePass",
    "Frames",
    "Partial",
    "Recipe",
    "Shape",
    "SparseFrames",
    "beam_shifts",
    "bin_frames",
    "center_of_mass",
    "center_of_mass_map",
    "count_electrons",
    "crop_mask",
    "detector_masks",
    "find_center",
    "frame_count_map",
    "integrate_phase",
    "merge_partials",
    "partial_from_bytes",
    "partial_to_bytes",
    "phase_per_pixel",
    "sum_frames",
    "virtual_image_maps",
    "virtual_images",
]
