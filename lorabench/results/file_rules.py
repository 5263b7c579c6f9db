"""Rules of the firewall: what can be wrong with an adapter's folder, archive or repository.

Levels: "block" is hostile by construction, whatever the weights do; "review" is unsupported or can be
read in two ways; "inconclusive" is damaged or cannot be judged; "info" is worth knowing.
"""

from __future__ import annotations

from lorabench.results.findings import Level
from lorabench.results.rule import POISONING, SUPPLY_CHAIN, Rule

_UNSAFE = ("AML.T0011.000",)  # unsafe AI artifacts
_MALWARE = ("AML.T0018.002",)  # embed malware
_MODEL = ("AML.T0018.000",)  # poison the model
_ARCHITECTURE = ("AML.T0018.001",)  # modify its architecture
_DENIAL = ("AML.T0029",)  # denial of service
_SUPPLY = ("AML.T0010.003",)  # supply chain: model


def _rules(
    level: Level, cwe: tuple[str, ...], atlas: tuple[str, ...], *rows: tuple[str, str, str]
) -> tuple[Rule, ...]:
    """Return rules that stand at the same place in the public lists; rows are id, title and help."""
    return tuple(
        Rule(
            id=name,
            stage="file",
            title=title,
            help=text,
            level=level,
            cwe=cwe,
            owasp=(SUPPLY_CHAIN, POISONING) if atlas in (_MODEL, _ARCHITECTURE) else (SUPPLY_CHAIN,),
            atlas=atlas,
        )
        for name, title, text in rows
    )


_BLOCK = (
    *_rules(
        "block",
        ("CWE-94", "CWE-829"),
        _MALWARE,
        (
            "auto-mapping",
            "Names a module to import",
            "The config names a Python module that a loader imports. Plain LoRA does not need it; do not "
            "load this adapter with any other program.",
        ),
        (
            "megatron-config",
            "Asks for a module to be imported",
            "The config switches on Megatron, whose module a loader then imports by the name that the "
            "config gives.",
        ),
        (
            "megatron-core",
            "Names a module to import",
            "The config names a Python module that a loader imports when Megatron is switched on.",
        ),
        (
            "remote-code",
            "A loader would run its code",
            "A JSON file of the folder tells a loader to run Python code or a kernel that comes with it. "
            "Do not load the folder with any switch that trusts remote code.",
        ),
    ),
    *_rules(
        "block",
        ("CWE-502", "CWE-434"),
        _UNSAFE,
        (
            "pickle-in-disguise",
            "A pickle under another name",
            "The file's content is a Python pickle, its name says otherwise. Opening a pickle can run "
            "any program.",
        ),
        (
            "zip-in-disguise",
            "A zip archive under another name",
            "The file can also be read as a zip archive (torch.save writes such files, with a pickle "
            "inside), so two programs may read two different things.",
        ),
        (
            "disguised-file",
            "A program or archive under another name",
            "The content is a program or an archive, the name says otherwise.",
        ),
    ),
    *_rules(
        "block",
        ("CWE-22", "CWE-59"),
        _UNSAFE,
        (
            "unsafe-path",
            "A name that leads out of its folder",
            "A member of the archive has a name that could be written outside of the target folder.",
        ),
        (
            "special-member",
            "A link or device in the archive",
            "The archive holds a symbolic link or a device; saving an adapter never makes one.",
        ),
        (
            "special-file",
            "A pipe, device or socket",
            "The folder holds something that is no file; opening it can hang or do anything. Saving an "
            "adapter never makes one.",
        ),
    ),
    *_rules(
        "block",
        ("CWE-409", "CWE-400"),
        _DENIAL,
        (
            "zip-bomb",
            "An archive that explodes",
            "A member of the archive would grow more than a hundred times when unpacked.",
        ),
    ),
    *_rules(
        "block",
        ("CWE-1336", "CWE-94"),
        _MALWARE,
        (
            "template-code",
            "A chat template that reaches for Python",
            "The template uses double-underscore attributes, attr() or includes, as sandbox escapes do. "
            "Templates are never rendered here; do not render it elsewhere.",
        ),
    ),
)

_REVIEW = (
    *_rules(
        "review",
        ("CWE-502",),
        _UNSAFE,
        (
            "pickle-weights",
            "A pickle file",
            "A file with the name of a pickle lies in the folder. It was not opened; scanners of pickles "
            "can be bypassed, so it is not judged either. Ask for safetensors alone.",
        ),
    ),
    *_rules(
        "review",
        ("CWE-436",),
        _UNSAFE,
        (
            "several-weight-files",
            "More than one weight file",
            "Two programs may load different weights from this folder, so a judgement of one file says "
            "nothing about the other.",
        ),
        (
            "duplicate-module",
            "A matrix given twice",
            "Two tensors stand for the same matrix; loaders may take either.",
        ),
        ("duplicate-member", "A name twice in the archive", "Unpacking programs may take either file."),
        (
            "nested-folders",
            "Files in several folders",
            "It is not clear which folder of the archive is the adapter.",
        ),
        (
            "ambiguous-pattern",
            "A pattern with two readings",
            "The pattern of ranks or alphas fits other modules when it is read as a regular expression.",
        ),
        (
            "magnitude-unexpected",
            "DoRA's vectors without DoRA",
            "Some programs would use the magnitude vectors and others would not.",
        ),
        (
            "targets-disagree",
            "Targets and tensors disagree",
            "The config does not name modules that have "
            "tensors. PEFT leaves such tensors out, other programs may not.",
        ),
    ),
    *_rules(
        "review",
        ("CWE-1333",),
        _DENIAL,
        (
            "pattern-not-literal",
            "A regular expression in the config",
            "Loaders compile it without a time limit. It was not compiled here; write the names out.",
        ),
        (
            "pattern-targets",
            "Targets given by a pattern",
            "Loaders compile it without a time limit. It was "
            "not compiled here; the targets are those of the tensors.",
        ),
    ),
    *_rules(
        "review",
        (),
        _ARCHITECTURE,
        (
            "modules-to-save",
            "Replaces whole modules",
            "Whole modules of the base, usually the head, are "
            "replaced. They are compared with the base row by row where it is at hand, and never bound.",
        ),
        (
            "embedding-delta",
            "Changes embeddings or the output head",
            "A few changed rows are enough for a "
            "trigger. They are compared with the base where it is at hand, and never bound.",
        ),
        (
            "trainable-tokens",
            "Replaces token embeddings",
            "Single rows of the embeddings are replaced, which is all that a trigger needs.",
        ),
        ("layer-replication", "Duplicates layers", "The base would become another, larger model."),
        (
            "bias-not-none",
            "Trains biases",
            "Biases stay when the adapter is switched off, so the base cannot be compared with.",
        ),
        ("lora-bias", "Adds biases", "Not plain LoRA; not supported."),
        ("fan-in-fan-out", "Transposed weights", "Not supported."),
        ("qalora", "QALoRA", "Not plain LoRA; not supported."),
        ("bdlora", "Block-diagonal LoRA", "Not plain LoRA; not supported."),
        ("alora", "Activated LoRA", "It acts only after certain tokens: a trigger by design."),
        ("arrow-config", "Routes between adapters", "It acts through other adapters that are not here."),
        ("velora-config", "VeLoRA", "Not plain LoRA; not supported."),
        ("monteclora-config", "MonteCLoRA", "Its weights are random; not supported."),
        ("target-parameters", "Adapts bare parameters", "Not linear layers; not supported."),
        ("weight-tying", "Ties weights to the embeddings", "It would change the embeddings of the base."),
        ("not-lora", "Another type of adapter", "Only LoRA is read; other types were not looked at."),
        (
            "unknown-tensor",
            "Tensors of unknown effect",
            "Some loader may use them; they were counted and not judged.",
        ),
    ),
    *_rules(
        "review",
        ("CWE-471", "CWE-73"),
        _MODEL,
        (
            "init-rewrites-base",
            "An initialisation that rewrites the base",
            "When such an adapter is loaded "
            'as written, base weights change, and "adapter off" is no longer the base.',
        ),
        ("loftq-config", "LoftQ", "Loading it rewrites base weights."),
        ("eva-config", "EVA", "Loading it can run an initialisation on data."),
        ("corda-config", "CorDA", "Loading it can read files and rewrite base weights."),
        ("lora-ga-config", "LoRA-GA", "Loading it rewrites base weights."),
        ("kasa-config", "KaSA", "Loading it rewrites base weights."),
        ("unknown-config-field", "An unknown option", "A loader may know an option that is unknown here."),
    ),
    *_rules(
        "review",
        ("CWE-829", "CWE-73"),
        _SUPPLY,
        (
            "base-claim-path",
            "Its base is a path or an address",
            "The config names its base by a local path "
            "or an address instead of a model's name; a loader would open it. It is only shown here.",
        ),
        (
            "base-config-file",
            "A model config in the folder",
            "Loaders read config.json and the like, and "
            "some options there run code. It is never loaded here.",
        ),
    ),
    *_rules(
        "review",
        ("CWE-506",),
        _MALWARE,
        (
            "code-file",
            "Code in the folder",
            "An adapter needs no code. It was not run; look at it before anything else does.",
        ),
        ("archive-file", "An archive in the folder", "An adapter needs no archive. It was not opened."),
        ("nested-archive", "An archive in the archive", "An adapter needs no archive. It was not opened."),
    ),
    *_rules(
        "review",
        ("CWE-59", "CWE-367"),
        _UNSAFE,
        (
            "symlink",
            "A symbolic link",
            "Links are not followed: what they lead to can change or lie "
            "anywhere. Copy the real files into a folder of their own.",
        ),
        ("not-a-regular-file", "No regular file", "A name that should be a file is something else."),
    ),
    *_rules(
        "review",
        ("CWE-829",),
        _MODEL,
        (
            "tokenizer-vocabulary",
            "Other token ids than the base",
            "Loaders such as AutoPeft take the "
            "adapter's tokenizer: the same text would become other tokens. It is never loaded here.",
        ),
        (
            "tokenizer-pipeline",
            "The tokenizer treats text otherwise",
            "Normaliser, pre-tokeniser or "
            "post-processor differ from the base's, so text can be changed before the model sees it.",
        ),
        (
            "tokenizer-file",
            "Another tokenizer file than the base",
            "The file differs from the base's. It is never loaded here.",
        ),
        (
            "tokenizer-inserts-text",
            "The tokenizer inserts text",
            "Its normaliser puts text of its own into what people write.",
        ),
    ),
    *_rules(
        "review",
        ("CWE-1336", "CWE-912"),
        ("AML.T0043.004",),
        (
            "chat-template",
            "A chat template of its own",
            "A template can hide instructions from whoever "
            "writes prompts. It is never rendered here; read it, and use the base's.",
        ),
        (
            "template-condition",
            "A template that looks at the message",
            "A condition on the content of a "
            "message or on the date can put instructions in only where a trigger stands.",
        ),
        (
            "template-text",
            "A template with text of its own",
            "Fixed text, addresses, encoded data or hidden "
            "characters in the template reach the model unseen.",
        ),
    ),
    *_rules(
        "review",
        ("CWE-754",),
        _MODEL,
        (
            "absurd-weight",
            "Enormous weights",
            "Numbers far above anything training gives; statistics of "
            "such weights mean little, and the model may overflow.",
        ),
    ),
    *_rules(
        "review",
        ("CWE-79", "CWE-116", "CWE-117"),
        (),
        (
            "unsafe-tensor-name",
            "A tensor name made to deceive",
            "Names with markup, control characters or great length attack whoever shows them.",
        ),
    ),
)

_INCONCLUSIVE = (
    *_rules(
        "inconclusive",
        ("CWE-400", "CWE-190", "CWE-1284"),
        _DENIAL,
        ("bad-header", "A broken header", "The weight file cannot be read as safetensors."),
        (
            "header-too-long",
            "A header beyond all bounds",
            "The weight file announces more header than any adapter has.",
        ),
        ("bad-json", "Broken JSON", "The file is not the JSON it should be."),
        ("json-too-deep", "JSON nested too deep", "Deeper than any honest file."),
        ("json-too-large", "JSON with too many parts", "Larger than any honest file."),
        ("duplicate-key", "A key given twice", "Two programs may read the file differently."),
        ("bad-shape", "An impossible shape", "The header describes a tensor that cannot be."),
        ("bad-offsets", "Impossible offsets", "The header describes a tensor that cannot be."),
        ("size-mismatch", "Sizes that do not fit", "A declared size is not the real one."),
        ("overlap", "Overlapping tensors", "Two tensors share bytes, which the format forbids."),
        ("hole", "A hole between tensors", "Bytes belong to no tensor, which the format forbids."),
        ("truncated", "Cut off", "The file ends too early."),
        ("trailing-bytes", "Bytes after the end", "Bytes belong to no tensor, which the format forbids."),
        ("too-many-tensors", "Too many tensors", "More than any adapter has."),
        ("too-many-modules", "Too many modules", "More than any adapter has."),
        ("too-many-files", "Too many files", "More than any adapter has; not all were listed."),
        ("too-many-patterns", "Too many patterns", "More than can be compared in reasonable time."),
        ("too-many-members", "Too many members", "More files in the archive than any adapter has."),
        ("archive-too-large", "An archive too large", "It would unpack to more than is accepted."),
        ("file-too-large", "A file too large", "Above the limit; raise it if you trust the source."),
        ("rank-too-large", "A rank too large", "Above the limit; raise it if you trust the source."),
        ("text-too-long", "A text too long", "Longer than a claim may be."),
        (
            "unusual-tensor-order",
            "Matrices far apart",
            "A and B lie so far apart in the file that its "
            "weights cannot be measured in bounded memory. Save it again with PEFT.",
        ),
    ),
    *_rules(
        "inconclusive",
        ("CWE-393", "CWE-1288"),
        (),
        ("not-an-adapter", "No adapter", "Config or weights are missing."),
        ("no-tensors", "No tensors", "The weight file is empty."),
        (
            "unsupported-dtype",
            "An unsupported number type",
            "The numbers could not be read, so nothing is known about them.",
        ),
        ("unpaired-tensor", "A matrix without its partner", "Half of a change is no change."),
        ("shape-mismatch", "Shapes that do not fit", "The matrices of a module do not fit together."),
        ("empty-tensor", "An empty matrix", "A matrix without numbers."),
        ("rank-mismatch", "Declared and real rank differ", "Config and weights are not of one training."),
        ("magnitude-missing", "DoRA without its vectors", "Config and weights are not of one training."),
        ("bad-config-value", "A config value that cannot be", "Config and weights cannot be understood."),
        ("bad-head", "A head that cannot be read", "The file of the classification head is damaged."),
        ("bad-zip", "A broken archive", "The archive cannot be read."),
        ("encrypted", "An encrypted archive", "What cannot be read cannot be judged."),
        ("unsupported-compression", "Unusual compression", "What cannot be read cannot be judged."),
        (
            "zero-adapter",
            "It does nothing",
            "Every change is zero: not a working adapter, and no evidence of anything.",
        ),
        (
            "tokenizer-not-compared",
            "Tokenizer not compared",
            "The adapter brings tokenizer files, and "
            "there is nothing to compare them with, or they are too large or damaged.",
        ),
        (
            "not-compared",
            "Replaced weights not compared",
            "The base is not at hand or has no such tensor, so it is not known what was changed.",
        ),
    ),
    *_rules(
        "inconclusive",
        ("CWE-754",),
        _MODEL,
        (
            "non-finite-weight",
            "Weights that are no numbers",
            "NaN or infinity: training diverged, or the file is damaged.",
        ),
    ),
    *_rules(
        "inconclusive",
        ("CWE-367",),
        _UNSAFE,
        ("file-changed", "Changed while it was read", "What was looked at may not be what is there now."),
        ("unreadable-file", "Cannot be opened", "The file system refused; check the permissions."),
    ),
)

_INFO = _rules(
    "info",
    (),
    (),
    ("zero-module", "Modules without a change", "Some modules change nothing, though the adapter has "
     "matrices for them."),
    ("denormal-weight", "Vanishingly small weights", "Numbers below the normal range; some devices treat "
     "them as zero."),
    ("scale-pattern", "Scales that differ or are unusual", "rsLoRA, patterns of rank or alpha, or a large "
     "scale. All statistics here are taken after scaling."),
    ("dora", "DoRA", "Magnitude vectors also rescale base weights; norms here leave that out."),
    ("task-head", "Another task type", "A head that belongs to the task is not part of the adapter."),
    ("ignored-field", "A field that was not used", "It is only shown."),
    ("unused-targets", "Targets without tensors", "The config names modules that have no tensors."),
    ("tokenizer-same", "The base's own tokenizer", "The files are byte for byte those of the base."),
    ("token-rows", "Most changed token rows", "The rows of embeddings or head that differ most."),
    ("other-file", "Files that no loader needs", "They were listed and not read."),
    ("card-active-content", "A card that calls out", "The README has HTML, scripts or remote images. It is "
     "shown as plain text."),
    ("claims-left-out", "A claim that cannot be read", "lorabench.json or the README breaks its bounds. It "
     "is only a claim; the weights are judged without it."),
)  # fmt: skip

FILE_RULES: tuple[Rule, ...] = (*_BLOCK, *_REVIEW, *_INCONCLUSIVE, *_INFO)
