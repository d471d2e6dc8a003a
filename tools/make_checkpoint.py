#!/usr/bin/env python3
"""Makes a random-weights DeepSeek-V2 checkpoint in the published format; needs only numpy.

    make_checkpoint.py OUT_DIR --preset tiny [--seed 1] [--dtype bf16] [--shards 1] [--set KEY=JSON]

Every tensor is drawn from (seed, tensor name), whatever the order, the shards or the other tensors.

Plain random weights make a poor test: a router with random scores has its K-th and (K+1)-th expert
nearly tied at every few tokens. So the weights imitate one habit of trained models. Each token
belongs to a cluster, a direction of its embedding that no layer writes to, and each gate reads off
that direction which experts the cluster prefers, by a clear margin. The rest of the residual
stream moves the gate weights, and now and then the choice. Logits have a deviation of about 3.
"""

import argparse
import json
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

YARN = {"type": "yarn", "factor": 40, "original_max_position_embeddings": 256, "beta_fast": 32,
        "beta_slow": 1, "mscale": 0.707, "mscale_all_dim": 0.707}

# The fields of a published config.json, with the values of the preset `tiny`.
BASE_CONFIG = {
    "architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2",
    "vocab_size": 2048, "hidden_size": 128, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 4,
    "q_lora_rank": 48, "kv_lora_rank": 64,
    "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 32,
    "intermediate_size": 320, "moe_intermediate_size": 64,
    "n_routed_experts": 16, "n_shared_experts": 2, "num_experts_per_tok": 4,
    "first_k_dense_replace": 1, "moe_layer_freq": 1,
    "topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2,
    "norm_topk_prob": False, "routed_scaling_factor": 16.0, "scoring_func": "softmax",
    "aux_loss_alpha": 0.001, "seq_aux": True, "pretraining_tp": 1, "ep_size": 1,
    "attention_bias": False, "attention_dropout": 0.0, "hidden_act": "silu",
    "initializer_range": 0.02, "rms_norm_eps": 1e-6,
    "max_position_embeddings": 10240, "rope_theta": 10000, "rope_scaling": YARN,
    "tie_word_embeddings": False, "use_cache": True, "bos_token_id": 0, "eos_token_id": 1,
}


@dataclass(frozen=True)
class Preset:
    """A config, as what differs from BASE_CONFIG (None is JSON null), and how it is stored."""

    config: dict = field(default_factory=dict)
    dtype: str = "bf16"
    shards: int = 1
    drop: tuple[str, ...] = ()  # Fields of BASE_CONFIG that this config.json does not have.
    f32_gate: bool = False  # As transformers' save_pretrained writes it, whatever the dtype.
    inv_freq: bool = False  # Old files carry this buffer; a reader must ignore it.


PRESETS = {
    "tiny": Preset(),
    # Like V2-Lite: one q_proj, plain top-k. No YaRN, hence no mscale either.
    "noqlora": Preset({
        "vocab_size": 256, "hidden_size": 48, "num_hidden_layers": 3,
        "q_lora_rank": None, "kv_lora_rank": 24, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
        "v_head_dim": 8, "intermediate_size": 80, "moe_intermediate_size": 12,
        "n_routed_experts": 8, "num_experts_per_tok": 2,
        "topk_method": "greedy", "n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0,
        "rope_scaling": None, "max_position_embeddings": 4096,
    }, dtype="f32"),
    "tied": Preset({
        "vocab_size": 448, "hidden_size": 64, "q_lora_rank": 24, "kv_lora_rank": 32,
        "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16,
        "intermediate_size": 96, "moe_intermediate_size": 16,
        "n_routed_experts": 9, "num_experts_per_tok": 3, "first_k_dense_replace": 2,
        "n_group": 3, "topk_group": 2, "routed_scaling_factor": 4.0,
        "tie_word_embeddings": True,
    }, dtype="f16"),
    # mscale and mscale_all_dim differ: cos and sin get a factor too.
    "sharded": Preset({
        "vocab_size": 320, "hidden_size": 64, "num_hidden_layers": 3,
        "q_lora_rank": 24, "kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 16,
        "v_head_dim": 16, "intermediate_size": 128, "moe_intermediate_size": 20,
        "n_routed_experts": 8, "num_experts_per_tok": 2, "n_shared_experts": 1,
        "n_group": 2, "topk_group": 1, "routed_scaling_factor": 2.5,
        "rope_scaling": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.5},
    }, shards=3, f32_gate=True, inv_freq=True),
    # Nothing is a multiple of a vector register. The large epsilon shows who uses it where the
    # two latent norms must not: theirs is 1e-6, whatever the config says.
    "odd": Preset({
        "vocab_size": 1009, "hidden_size": 27, "num_hidden_layers": 2,
        "num_attention_heads": 3, "num_key_value_heads": 3, "q_lora_rank": 20, "kv_lora_rank": 40,
        "qk_nope_head_dim": 24, "qk_rope_head_dim": 8, "v_head_dim": 20,
        "moe_intermediate_size": 11, "n_routed_experts": 10, "num_experts_per_tok": 3,
        "n_shared_experts": 1, "first_k_dense_replace": 0,
        "topk_method": "greedy", "n_group": 1, "topk_group": 1, "routed_scaling_factor": 2.5,
        "rms_norm_eps": 1e-3,
    }, dtype="f32"),
    # The newer spelling of the rope fields, and a context that a test can leave far behind.
    "longyarn": Preset({
        "vocab_size": 384, "hidden_size": 64, "num_hidden_layers": 3,
        "q_lora_rank": 24, "kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 16,
        "v_head_dim": 16, "intermediate_size": 128, "moe_intermediate_size": 20,
        "n_routed_experts": 8, "num_experts_per_tok": 3, "n_shared_experts": 1,
        "n_group": 4, "topk_group": 2, "routed_scaling_factor": 2.0,
        "max_position_embeddings": 1280,
        "rope_parameters": {"rope_type": "yarn", "rope_theta": 1000.0, "factor": 40.0,
                            "original_max_position_embeddings": 32, "beta_fast": 32,
                            "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0},
    }, drop=("rope_theta", "rope_scaling")),
    # 128 experts of 1.5 MiB: 201 MB of experts, everything else is small. For measurements.
    "bench200": Preset({
        "vocab_size": 512, "hidden_size": 512, "num_hidden_layers": 3,
        "num_attention_heads": 8, "num_key_value_heads": 8, "q_lora_rank": None,
        "intermediate_size": 1024, "moe_intermediate_size": 512, "n_routed_experts": 64,
        "num_experts_per_tok": 6, "n_shared_experts": 1,
        "topk_method": "greedy", "n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0,
    }),
}

# How the values are scaled.
READ_GAIN = 1.3  # By how much a matrix multiplies the deviation of what it reads.
WRITE_GAIN = 1.2  # The same for what a block adds to the stream, relative to the embeddings.
LOGIT_DEVIATION = 3.0
NORM_DEVIATION = 0.1
CLUSTER_ENERGY = 0.5  # Share of an embedding's squared length that names its cluster.
# A gate's preferences, in logits: the best expert of a permitted group, the best of another group
# (above most that are chosen, so that the limit to groups matters), the rest of the chosen, all
# others.
HEAD, OTHER_HEAD, CHOSEN, REST = 2.2, 0.7, 0.0, -2.0
PREFERENCE_SPREAD = 0.3
GATE_CONTEXT = 0.4  # Deviation of a gate logit due to everything but the cluster.

TORCH_DTYPES = {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}
WIDTHS = {"bf16": 2, "f16": 2, "f32": 4, "i32": 4}


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: str  # A key of WIDTHS.

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * WIDTHS[self.dtype]


def encode(values: np.ndarray, dtype: str) -> bytes:
    """The values as little-endian bytes of `dtype`; bf16 is rounded to nearest, ties to even."""
    if dtype == "bf16":
        bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    return values.astype({"f16": "<f2", "f32": "<f4", "i32": "<i4"}[dtype]).tobytes()


def write_safetensors(path: Path, tensors: list[Tensor], make: Callable[[str], np.ndarray],
                      metadata: dict[str, str] | None = None) -> None:
    """Writes one file, holding one tensor at a time. Wide types first, so that all are aligned."""
    ordered = sorted(tensors, key=lambda t: (-WIDTHS[t.dtype], t.name))
    header: dict = {"__metadata__": metadata} if metadata else {}
    offset = 0
    for t in ordered:
        header[t.name] = {"dtype": t.dtype.upper(), "shape": list(t.shape),
                          "data_offsets": [offset, offset + t.size_bytes]}
        offset += t.size_bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for t in ordered:
            values = make(t.name)
            assert values.shape == t.shape, (t.name, values.shape, t.shape)
            file.write(encode(values, t.dtype))


def layer_shapes(c: dict, layer: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names (after `model.layers.N.`) and [out, in] shapes of one layer's tensors."""
    h, heads = c["hidden_size"], c["num_attention_heads"]
    latent, rope = c["kv_lora_rank"], c["qk_rope_head_dim"]
    q_rows = heads * (c["qk_nope_head_dim"] + rope)
    yield "input_layernorm.weight", (h,)
    if c["q_lora_rank"] is None:
        yield "self_attn.q_proj.weight", (q_rows, h)
    else:
        yield "self_attn.q_a_proj.weight", (c["q_lora_rank"], h)
        yield "self_attn.q_a_layernorm.weight", (c["q_lora_rank"],)
        yield "self_attn.q_b_proj.weight", (q_rows, c["q_lora_rank"])
    yield "self_attn.kv_a_proj_with_mqa.weight", (latent + rope, h)
    yield "self_attn.kv_a_layernorm.weight", (latent,)
    yield ("self_attn.kv_b_proj.weight",
           (heads * (c["qk_nope_head_dim"] + c["v_head_dim"]), latent))
    yield "self_attn.o_proj.weight", (h, heads * c["v_head_dim"])
    yield "post_attention_layernorm.weight", (h,)

    def mlp(prefix: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{prefix}.gate_proj.weight", (width, h)
        yield f"{prefix}.up_proj.weight", (width, h)
        yield f"{prefix}.down_proj.weight", (h, width)

    if layer < c["first_k_dense_replace"]:
        yield from mlp("mlp", c["intermediate_size"])
        return
    yield "mlp.gate.weight", (c["n_routed_experts"], h)
    for expert in range(c["n_routed_experts"]):
        yield from mlp(f"mlp.experts.{expert}", c["moe_intermediate_size"])
    if c["n_shared_experts"]:
        yield from mlp("mlp.shared_experts", c["n_shared_experts"] * c["moe_intermediate_size"])


def list_tensors(c: dict, dtype: str, f32_gate: bool, inv_freq: bool) -> list[Tensor]:
    """All tensors of the checkpoint, in the order of a token's way."""
    tensors = [Tensor("model.embed_tokens.weight", (c["vocab_size"], c["hidden_size"]), dtype)]
    for layer in range(c["num_hidden_layers"]):
        for name, shape in layer_shapes(c, layer):
            wide = f32_gate and name == "mlp.gate.weight"
            tensors.append(Tensor(f"model.layers.{layer}.{name}", shape, "f32" if wide else dtype))
        if inv_freq:
            tensors.append(Tensor(f"model.layers.{layer}.self_attn.rotary_emb.inv_freq",
                                  (c["qk_rope_head_dim"] // 2,), "f32"))
    tensors.append(Tensor("model.norm.weight", (c["hidden_size"],), dtype))
    if not c["tie_word_embeddings"]:
        tensors.append(Tensor("lm_head.weight", (c["vocab_size"], c["hidden_size"]), dtype))
    return tensors


class Weights:
    """Draws the values of any tensor by its name, as float32 or float64."""

    def __init__(self, config: dict, seed: int, tensors: list[Tensor]):
        self.config, self.seed = config, seed
        self.shapes = {t.name: t.shape for t in tensors}
        hidden = config["hidden_size"]
        self.clusters = min(16, hidden // 3)
        # Orthonormal columns [hidden, clusters]: the direction of each cluster. In float64, as all
        # products below, so that another BLAS hardly ever changes a rounded weight.
        normal = self.rng("cluster directions").standard_normal((hidden, self.clusters))
        self.directions = np.linalg.qr(normal)[0]
        self.embedding_deviation = LOGIT_DEVIATION / math.sqrt(hidden)

    def rng(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def make(self, name: str) -> np.ndarray:
        shape, c = self.shapes[name], self.config
        hidden = c["hidden_size"]
        if name.endswith("rotary_emb.inv_freq"):
            return np.full(shape, np.nan)  # Whoever reads it will notice.
        noise = self.rng(name).standard_normal(shape, dtype=np.float32)
        if name.endswith("norm.weight"):
            # Under a tied head, mixed signs keep a token from being its own best successor.
            mixed = c["tie_word_embeddings"] and name == "model.norm.weight"
            signs = self.rng("signs").choice([-1, 1], shape) if mixed else 1
            return signs * (1 + NORM_DEVIATION * noise)
        if name == "model.embed_tokens.weight":
            of_token = self.rng("cluster of token").integers(self.clusters, size=c["vocab_size"])
            named = math.sqrt(CLUSTER_ENERGY * hidden) * self.directions.T[of_token]
            rest = math.sqrt(1 - CLUSTER_ENERGY) * self.outside_clusters(noise.T).T
            return self.embedding_deviation * (named + rest)
        if name == "lm_head.weight":
            return self.embedding_deviation * noise
        if name.endswith("mlp.gate.weight"):
            preferences = self.preferences(self.rng(name + " preferences"))
            # The stream grows with depth, so that a cluster's part of the normed stream shrinks.
            growth = math.sqrt(2 + 3 * int(name.split(".")[2]))
            named = growth * preferences.T @ self.directions.T / math.sqrt(CLUSTER_ENERGY)
            named /= self.make(name.replace("mlp.gate", "post_attention_layernorm"))
            return (named + GATE_CONTEXT * noise) / math.sqrt(hidden)
        gain = READ_GAIN
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            gain = WRITE_GAIN * self.embedding_deviation
            if ".experts." in name:
                gain *= 2 / c["routed_scaling_factor"]
            noise = self.outside_clusters(noise)
        return gain / math.sqrt(shape[1]) * noise

    def outside_clusters(self, columns: np.ndarray) -> np.ndarray:
        """[hidden, n] without its part in the clusters' directions."""
        return columns - self.directions @ (self.directions.T @ columns)

    def preferences(self, rng: np.random.Generator) -> np.ndarray:
        """[clusters, experts]: which experts each cluster prefers, as gate logits."""
        c = self.config
        grouped = c["topk_method"] == "group_limited_greedy"
        groups = c["n_group"] if grouped else 1
        permitted = c["topk_group"] if grouped else 1
        per_group = c["n_routed_experts"] // groups
        assert permitted <= c["num_experts_per_tok"] <= permitted * per_group, "no such routing"
        logits = np.full((self.clusters, groups, per_group), REST)
        for of_cluster in logits:
            order = rng.permutation(groups)
            heads = rng.integers(per_group, size=groups)
            others = [(g, e) for g in order[:permitted] for e in range(per_group) if e != heads[g]]
            for g, e in rng.permutation(others)[:c["num_experts_per_tok"] - permitted]:
                of_cluster[g, e] = CHOSEN
            for rank, g in enumerate(order):
                head = HEAD if rank < permitted else OTHER_HEAD
                of_cluster[g, heads[g]] = head if grouped else CHOSEN
        logits += rng.uniform(-PREFERENCE_SPREAD, PREFERENCE_SPREAD, logits.shape)
        return logits.reshape(self.clusters, -1)


def split(tensors: list[Tensor], shards: int) -> list[list[Tensor]]:
    """Consecutive parts of about equal bytes."""
    total = sum(t.size_bytes for t in tensors)
    parts: list[list[Tensor]] = [[] for _ in range(shards)]
    offset = 0
    for t in tensors:
        parts[offset * shards // total].append(t)
        offset += t.size_bytes
    return parts


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_checkpoint(out: Path, config: dict, preset: Preset, seed: int) -> None:
    tensors = list_tensors(config, preset.dtype, preset.f32_gate, preset.inv_freq)
    weights = Weights(config, seed, tensors)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "config.json", config)
    write_json(out / "generation_config.json",
               {key: config[key] for key in ("bos_token_id", "eos_token_id")})
    if preset.shards == 1:
        write_safetensors(out / "model.safetensors", tensors, weights.make, {"format": "pt"})
        return
    weight_map = {}
    for number, part in enumerate(split(tensors, preset.shards), start=1):
        file_name = f"model-{number:05}-of-{preset.shards:06}.safetensors"
        write_safetensors(out / file_name, part, weights.make, {"format": "pt"})
        weight_map |= {t.name: file_name for t in part}
    total = sum(t.size_bytes for t in tensors)
    write_json(out / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": weight_map})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--preset", choices=PRESETS, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dtype", choices=TORCH_DTYPES, help="default: the preset's")
    parser.add_argument("--shards", type=int, help="default: the preset's")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON",
                        help="one field of config.json, e.g. hidden_size=256")
    args = parser.parse_args()
    preset = PRESETS[args.preset]
    preset = replace(preset, dtype=args.dtype or preset.dtype, shards=args.shards or preset.shards)
    config = {k: v for k, v in BASE_CONFIG.items() if k not in preset.drop} | preset.config
    for key, _, value in (item.partition("=") for item in args.set):
        config[key] = json.loads(value)
    config["torch_dtype"] = TORCH_DTYPES[preset.dtype]
    write_checkpoint(args.out, config, preset, args.seed)


if __name__ == "__main__":
    main()
