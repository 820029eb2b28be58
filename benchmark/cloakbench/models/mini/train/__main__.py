"""`python -m cloakbench.models.mini.train` trains every embedded model, resuming where it stopped."""

from __future__ import annotations

import argparse
from pathlib import Path

from diffusers import AutoencoderKL

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.models.mini import tokenizer
from cloakbench.models.mini.architecture import MINI_A, MINI_B
from cloakbench.models.mini.train import autoencoder, data, denoiser, export, independent, judge, perceptual

STAGES = ("vae", "mini-lpips", "mini-clip", "mini-a", "decoder-b", "mini-b", "vae-c")


def run(stage: str, work: Path, weights: Path) -> None:
    """Trains one stage in `work` and writes its weights, in half precision, into `weights`."""
    words = work / "tokenizer"
    tokenizer.write(words, tokenizer.words_to_learn([s.name for s in styles.STYLES], list(scenes.SUBJECTS)))
    learned = tokenizer.load(words)
    known = data.training(work)
    everything = data.joined(known, data.held_out(work))
    if stage == "vae":
        autoencoder.train_vae(everything, work / "vae.pt").save_pretrained(work / "vae")
    elif stage == "vae-c":
        export.autoencoder(independent.train_vae(everything, work / "vae-c.pt"), weights / "mini-vae-c")
    elif stage == "mini-lpips":
        export.distance(perceptual.train_distance(everything, work), weights)
    else:
        vae = AutoencoderKL.from_pretrained(work / "vae").eval().requires_grad_(False)
        if stage == "mini-clip":
            pictures = judge.with_reconstructions(vae, everything, work / "reconstructed.npy")
            export.judge(judge.train_judge(pictures, words, len(learned), work), everything, words, weights)
        elif stage == "mini-a":
            export.base(MINI_A, denoiser.train_base(MINI_A, vae, learned, known, work), vae, words, weights)
        elif stage == "decoder-b":
            autoencoder.finetune_decoder(vae, everything, work / "decoder-b.pt").save_pretrained(work / "vae-b")
        else:
            other = AutoencoderKL.from_pretrained(work / "vae-b").eval()
            export.base(MINI_B, denoiser.train_base(MINI_B, vae, learned, known, work), other, words, weights)


def main() -> None:
    """Trains the stages named on the command line (all of them by default) in the folder `--work`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", default=list(STAGES), help=f"of {', '.join(STAGES)}")
    parser.add_argument("--work", type=Path, default=Path("training"))
    parser.add_argument("--weights", type=Path, default=Path(__file__).parents[1] / "weights")
    arguments = parser.parse_args()
    unknown = set(arguments.stages) - set(STAGES)
    if unknown:
        parser.error(f"expected stages of {', '.join(STAGES)}, got {', '.join(sorted(unknown))}")
    for stage in arguments.stages:
        run(stage, arguments.work, arguments.weights)


if __name__ == "__main__":
    main()
