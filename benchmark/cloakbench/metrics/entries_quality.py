"""The metrics of protected images and of edits, each declared once. Readable without torch."""

from __future__ import annotations

from cloakbench.metrics.metric import Metric, edit, visibility
from cloakbench.metrics.of_sets import UNIVERSAL_SHARE

_VGG = "vgg16-397923af.pth"

ENTRIES: tuple[Metric, ...] = (
    # Least sides: the window at the coarsest scale; for networks, what their strides reduce to one value. `vif-wavelet`
    # has numbers below 65 pixels too, but without its coarsest scale; the longest wave of `fsim` has 48 pixels.
    visibility(
        "quality:mini_lpips",
        "distance",
        "Perceptual distance in LPIPS's form on the project's own small features; not LPIPS itself.",
        weights=("mini-lpips.safetensors",),
    ),
    visibility(
        "quality:ssim",
        "similarity",
        "Structural similarity (Wang et al. 2004), by pyiqa, on the Y channel.",
        least_side=11,
        low=-1.0,
        high=1.0,
        higher_is_better=True,
    ),
    visibility(
        "quality:psnr",
        "dB",
        "Peak signal-to-noise ratio over RGB, by pyiqa; 80 dB stands for equal images.",
        high=80.0,
        higher_is_better=True,
    ),
    visibility("quality:gmsd", "deviation", "Gradient magnitude similarity deviation (Xue et al. 2014), by pyiqa."),
    visibility("budget:linf", "1/255", "Largest change of any pixel on the saved 8-bit PNG.", high=255.0),
    visibility(
        "budget:mean_change", "1/255", "Mean absolute change over all values of the saved 8-bit PNG.", high=255.0
    ),
    visibility(
        "budget:l2",
        "1/255",
        "Root of the sum of squared changes over pixels and channels on the saved 8-bit PNG; it grows with the image.",
    ),
    visibility(
        "budget:low_frequency",
        "share",
        "Share of the change's energy in waves longer than 8 pixels (below 1/8 of the sampling rate in the DFT of each "
        "channel, the mean included). This project's own measure: it describes the change, neither end is better by "
        "itself. 0 for equal images.",
        high=1.0,
    ),
    UNIVERSAL_SHARE,
    visibility(
        "budget:ciede2000",
        "Delta E",
        "Mean CIEDE2000 colour difference over pixels (Sharma et al. 2005), by scikit-image, sRGB under D65.",
    ),
    visibility(
        "quality:dists",
        "distance",
        "Deep image structure and texture similarity (Ding et al. 2020), by pyiqa, on VGG16.",
        least_side=16,
        weights=(_VGG, "DISTS_weights-f5e65c96.pth"),
    ),
    visibility(
        "quality:pieapp",
        "perceptual error",
        "Perceptual image-error assessment through pairwise preference v0.1 (Prashnani et al. 2018), by pyiqa: patches "
        "of 64 pixels, 27 apart, taken once.",
        least_side=64,
        low=None,
        weights=("PieAPPv0.1-0937b014.pth",),
    ),
    visibility(
        "quality:topiq_fr",
        "quality",
        "TOPIQ with reference (Chen et al. 2024), by pyiqa, on ResNet-50, trained on KADID-10k.",
        least_side=32,
        low=None,
        higher_is_better=True,
        weights=("cfanet_fr_kadid_res50-2c4cc61d.pth",),
    ),
    visibility(
        "quality:lpips_alex",
        "distance",
        "Learned perceptual distance v0.1 on AlexNet (Zhang et al. 2018), by pyiqa.",
        least_side=31,
        weights=("alexnet-owt-7be5be79.pth", "LPIPS_v0.1_alex-df73285e.pth"),
    ),
    visibility(
        "quality:lpips_vgg",
        "distance",
        "Learned perceptual distance v0.1 on VGG16 (Zhang et al. 2018), by pyiqa; not comparable with lpips-alex.",
        least_side=16,
        weights=(_VGG, "LPIPS_v0.1_vgg-a78928a0.pth"),
    ),
    visibility(
        "quality:ms_ssim",
        "similarity",
        "Multi-scale structural similarity (Wang et al. 2003), by pyiqa, five scales, on the Y channel; needs 161 "
        "pixels a side.",
        least_side=161,
        high=1.0,
        higher_is_better=True,
    ),
    visibility(
        "quality:vif_wavelet",
        "fidelity",
        "Visual information fidelity in its wavelet form (Sheikh and Bovik 2006), by pyiqa, on the Y channel; not the "
        "pixel form of edit-vif. Above 1 where contrast was gained.",
        least_side=65,
        higher_is_better=True,
    ),
    visibility(
        "quality:fsim",
        "similarity",
        "Feature similarity in its colour form FSIMc (Zhang et al. 2011), by pyiqa.",
        least_side=48,
        high=1.0,
        higher_is_better=True,
    ),
    edit(
        "edit-ssim",
        "quality:ssim",
        "similarity",
        "Structural similarity (Wang et al. 2004), by pyiqa, on the Y channel, of the edit of the protected image to "
        "the same edit of the clean one.",
        least_side=11,
        low=-1.0,
        high=1.0,
    ),
    edit(
        "edit-psnr",
        "quality:psnr",
        "dB",
        "Peak signal-to-noise ratio over RGB, by pyiqa, of the edit of the protected image against the same edit of "
        "the clean one; 80 dB stands for equal edits.",
        high=80.0,
    ),
    edit(
        "edit-vif",
        "editing:vif",
        "fidelity",
        "Visual information fidelity in its pixel-domain form VIF-p (Sheikh and Bovik 2006), by torchmetrics, mean "
        "over R, G and B: how much of the clean image's edit an eye finds in the protected one's. 1 for equal edits.",
        least_side=41,
        version=2,
    ),
    edit(
        "edit-adherence",
        "generations:adherence",
        "cosine",
        "Cosine similarity of an edit's CLIP ViT-B/32 features to those of its prompt. The edit of the clean image has "
        "one too: the difference is what the protection does.",
        low=-1.0,
        high=1.0,
        needs_reference=False,
        weights=("ViT-B-32.pt",),
        needs_prompts=True,
    ),
)
"""In the order of `cloakbench list metrics`."""
