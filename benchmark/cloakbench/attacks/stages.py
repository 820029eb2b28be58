"""The stages of attacks: each declared once, with its facts and its class. Readable without torch."""

from __future__ import annotations

from cloakbench.attacks.stage import StageFacts, countermeasure, mimicry

STAGES: tuple[StageFacts, ...] = (
    countermeasure(
        "jpeg",
        "The mimic saves the images as JPEG, which drops fine detail.",
        "One quality for all images: stronger or repeated compression is not measured.",
        "Jpeg",
    ),
    countermeasure(
        "blur",
        "The mimic blurs the images with a small Gaussian.",
        "One kernel for all images: a perturbation that is coarser passes, and nothing is sharpened again.",
        "Blur",
    ),
    countermeasure(
        "noise",
        "The mimic adds Gaussian noise that drowns the perturbation.",
        "One sigma for all images, and nothing takes the noise off again: the mimic trains on noisy images.",
        "Noise",
    ),
    countermeasure(
        "resize",
        "The mimic shrinks the images and enlarges them again.",
        "One scale and one filter for all images: a perturbation that is coarser passes.",
        "Resize",
    ),
    countermeasure(
        "adverse-cleaner",
        "The mimic runs the filter that plug-ins of image generators offer against protections: 64 bilateral filters, "
        "then 4 guided ones.",
        "It takes the fine texture of a painting with it: look at its damage to clean images beside what it undoes.",
        "AdverseCleaner",
    ),
    countermeasure(
        "median",
        "The mimic gives each value the median of its surroundings.",
        "One window for all images: a perturbation that is coarser passes.",
        "Median",
    ),
    countermeasure(
        "crop",
        "The mimic cuts a margin off and enlarges the rest.",
        "One margin for all images. The picture loses its border, and the mimic another framing.",
        "Crop",
    ),
    countermeasure(
        "screenshot",
        "The mimic takes a screenshot: smaller, with slightly other colours, saved as JPEG, and enlarged again.",
        "A simulation of one screen. Real ones differ in scaling, colour management and format.",
        "Screenshot",
    ),
    countermeasure(
        "web",
        "The mimic takes the images from a gallery that shrinks and compresses them.",
        "One size and one format. Galleries differ, and some sharpen or convert colours.",
        "Web",
    ),
    countermeasure(
        "some-clean",
        "Some of the artist's images were published before they could be protected: a quarter, in the usual setting.",
        "Which images are unprotected is drawn once per artist. They are as recent as the protected ones.",
        "SomeClean",
        knowledge="clean images",
        whole_set=True,
    ),
    countermeasure(
        "half-clean",
        "Half of the artist's images were published before they could be protected.",
        "As of `some-clean`, with a share of its own.",
        "SomeClean",
        module="some_clean",
        knowledge="clean images",
        whole_set=True,
    ),
    countermeasure(
        "averaging",
        "The mimic estimates what all of the artist's images share beside their content, and subtracts it.",
        "It finds fine perturbations that are the same in every image, and leaves those made for one image alone.",
        "Averaging",
        needs_others=True,
        whole_set=True,
    ),
    countermeasure(
        "learned-remover",
        "The mimic runs the protection on images of others, trains a network to predict what it does, and subtracts "
        "that.",
        "A small network on a few images of the development artists: an attacker with more of both may undo more.",
        "LearnedRemover",
        knowledge="pairs",
        needs_others=True,
    ),
    countermeasure(
        "impress",
        "The mimic optimises the images until an autoencoder reconstructs them again (IMPRESS).",
        "The loss is about the autoencoder, not about the clean image, and falls where blur pleases the "
        "autoencoder too. Settings tuned at one size make shorter steps on larger images. `mini` stops after 30 "
        "steps while the loss still falls: on development artists 60 undid no more. The "
        "authors computed in half precision, where most steps round to nothing: this attack is "
        "the stronger one, and their figures are no target.",
        "Impress",
        "model",
        perceptual=True,
    ),
    countermeasure(
        "diffpure",
        "The mimic adds noise to the images and has a diffusion model take it off again (DiffPure).",
        "Suites of the embedded models run it on pixels, as the paper does. Suites of Stable Diffusion run it in the "
        "latent: the encoder comes first, which protections of PhotoGuard's kind attack, so that the noise hides a "
        "latent that is already wrong.",
        "DiffPure",
        "model",
        "purifier",
        version=2,
    ),
    countermeasure(
        "vae-trans",
        "The mimic encodes and decodes the images by an autoencoder of another family.",
        "One pass, nothing is optimised. It says little where both autoencoders are of one family, as those of "
        "SD 1.x and 2.x are, and TAESD, which is distilled from them.",
        "VaeTrans",
        "vae",
    ),
    countermeasure(
        "noisy-upscale",
        "The mimic adds noise to the images and has a diffusion model clear them up.",
        "The images keep their size, where the authors train on the enlarged ones. Suites of the embedded models have "
        "no upscaler: a denoiser of pixels works on the shrunk image, which is then enlarged.",
        "NoisyUpscale",
        "model",
        "upscaler",
        "purifier",
        version=2,
    ),
    mimicry(
        "dreambooth",
        "dreambooth",
        "DreamBooth",
        "The mimic fine-tunes the whole denoiser on the images, with a rare token in the captions.",
        "One recipe for all artists: a mimic who tunes it to one of them may get more. On the embedded model "
        "images have 128 pixels, so that its numbers do not stand for Stable Diffusion at 512.",
        version=2,
    ),
    mimicry(
        "cat",
        "cat",
        "Cat",
        "The mimic adapts the autoencoder until it reconstructs the images again, then runs DreamBooth (CAT).",
        "The adapters' learning rate is constant, where the authors let it fall. It is aimed at what was done against "
        "the autoencoder alone.",
    ),
    mimicry(
        "dreambooth-augmented",
        "augmented",
        "DreamBoothAugmented",
        "The mimic runs DreamBooth on images that are blurred and mirrored at random while it trains.",
        "A few variants of each image, drawn once, where the original draws a new one in each step. Styles whose marks "
        "have a direction suffer from mirroring.",
    ),
    mimicry(
        "dreambooth-decoupled",
        "decoupled",
        "DreamBoothDecoupled",
        "The mimic runs DreamBooth with captions that name the noise apart, and asks for images without it.",
        "Words alone: it helps where the model can tell the perturbation from the style.",
    ),
    mimicry(
        "lora",
        "lora",
        "LoRA",
        "The mimic trains low-rank adapters on the denoiser's attention and leaves the rest alone.",
        "Only attention is adapted, at one rank and for all artists by one recipe.",
        version=3,
    ),
    mimicry(
        "textual-inversion",
        "inversion",
        "TextualInversion",
        "The mimic trains the embedding of one new word and leaves every weight alone.",
        "The model can only be steered to what it already draws. On clean development artists of the embedded "
        "model it learned less than `dreambooth`.",
        version=2,
        needs_one_text_encoder=True,
    ),
    mimicry(
        "dreamstyler",
        "inversion",
        "DreamStyler",
        "The mimic trains the embeddings of several new words, each in charge of one stretch of the denoising.",
        "The paper learns one image and has style guidance; here the words learn all of the artist's images, "
        "without it. Captions that are all alike, as those of a collection without captions, say nothing of what is "
        "in an image, as the paper's context-aware prompts do. On clean development artists of the embedded model it "
        "learned less than `dreambooth`.",
        version=2,
        needs_one_text_encoder=True,
    ),
    StageFacts(
        "edit",
        "editing",
        2,
        "The mimic edits each image by image-to-image; the result is compared with the same edit of the clean image.",
        "Few prompts at one strength. The distance to the clean edit says that the result is another one, not "
        "that it is of no use to the mimic. Nothing is learned.",
        "cloakbench.attacks.editing.edit:Edit",
    ),
    StageFacts(
        "inpaint",
        "editing",
        2,
        "The mimic repaints the masked part of each image; the result is compared with the same of the clean image.",
        "Few prompts, and one mask per image, which protections that ask for masks have seen. The kept part is "
        "compared too, as the autoencoder rebuilt it. Nothing is learned.",
        "cloakbench.attacks.editing.inpaint:Inpaint",
        needs_masks=True,
    ),
    StageFacts(
        "inpaint-box",
        "editing",
        1,
        "As `inpaint`, under a mask that no protection has seen: the smaller part of each mask, masked or not, grown "
        "to its bounding rectangle.",
        "One further kind of mask, derived from the given one. As of `inpaint` otherwise.",
        "cloakbench.attacks.editing.inpaint:InpaintBox",
        needs_masks=True,
    ),
    StageFacts(
        "edit-instruct",
        "editing",
        1,
        "The mimic edits each image by a model that follows instructions; the result is compared with the same edit of "
        "the clean image.",
        "Few prompts, which describe pictures: one wording makes instructions of them. As of `edit` otherwise.",
        "cloakbench.attacks.editing.instruct:EditInstruct",
    ),
)
