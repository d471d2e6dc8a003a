#!/usr/bin/env python3
"""Makes a random-weights DeepSeek-V2 or V3 checkpoint in the published format; needs only numpy.

    make_checkpoint.py OUT_DIR --preset tiny [--seed 1] [--dtype bf16] [--shards 1] [--set KEY=JSON]

Every tensor is drawn from (seed, tensor name), whatever the order, the shards or the other tensors.

Plain random weights make a poor test: a router with random scores has its K-th and (K+1)-th expert
nearly tied at every few tokens. So the weights imitate one habit of trained models. Each token
belongs to a cluster, a direction of its embedding that no layer writes to, and each gate reads off
that direction which experts the cluster prefers, by a clear margin. The rest of the residual
stream moves the gate weights, and now and then the choice. Logits have a deviation of about 3.
V3's correction biases are large enough to be what decides at many tokens.
"""

import argparse
import json
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from checkpoint_presets import BASE_CONFIG, PRESETS, Preset

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
# V3's gate, in choice scores (sigmoid and correction bias): the chosen, the rest of the permitted
# groups, the best and the rest of another group. The biases reorder all but the last.
V3_CHOSEN, V3_REST, V3_OTHER_HEAD, V3_OTHER = 0.7, 0.45, 0.72, 0.25
V3_SPREAD = 0.03
V3_LEAST_BIAS, V3_MOST_BIAS = 0.1, 0.25  # Either sign.
V3_CONTEXT = 0.2
ATTENTION_BIAS = 0.3  # Deviation.

FP8_BLOCK = 128  # Rows and columns that share a scale.
FP8_MAX = 448.0
TORCH_DTYPES = {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}
WIDTHS = {"f8_e4m3": 1, "bf16": 2, "f16": 2, "f32": 4, "i32": 4}


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: str  # A key of WIDTHS.

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * WIDTHS[self.dtype]


def encode(values: np.ndarray, dtype: str) -> bytes:
    """The values as little-endian bytes of `dtype`, rounded to nearest, ties to even."""
    if dtype == "f8_e4m3":
        return encode_e4m3(values).tobytes()
    if dtype == "bf16":
        bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    return values.astype({"f16": "<f2", "f32": "<f4", "i32": "<i4"}[dtype]).tobytes()


def encode_e4m3(values: np.ndarray) -> np.ndarray:
    """Bytes of a sign, 4 bits of exponent (bias 7) and 3 of fraction; no value beyond FP8_MAX."""
    codes = np.arange(127)
    exponent, fraction = codes >> 3, codes & 7
    known = np.where(exponent == 0, fraction * 2.0**-9, (8 + fraction) * 2.0**(exponent - 10))
    middles = (known[1:] + known[:-1]) / 2
    assert known[-1] == FP8_MAX and np.abs(values).max() <= FP8_MAX
    below, above = (np.searchsorted(middles, np.abs(values), side) for side in ("left", "right"))
    nearest = np.where(below % 2 == 0, below, above)  # They differ in a tie alone.
    return (nearest + 128 * np.signbit(values)).astype(np.uint8)


def block_scales(matrix: np.ndarray) -> np.ndarray:
    """What each block of the matrix is divided by to be stored in fp8."""
    blocks = [-(-size // FP8_BLOCK) for size in matrix.shape]
    scales = np.empty(blocks, np.float32)
    for i, j in np.ndindex(*blocks):
        block = matrix[i * FP8_BLOCK:(i + 1) * FP8_BLOCK, j * FP8_BLOCK:(j + 1) * FP8_BLOCK]
        # A little more than the quotient, so that rounding leaves no value beyond FP8_MAX.
        scales[i, j] = np.abs(block).max() / FP8_MAX * (1 + 1e-6)
    return scales


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


def is_v3(config: dict) -> bool:
    return config["model_type"] == "deepseek_v3"


def head_of(config: dict) -> str:
    """What stands on top of the layers: ForCausalLM, Model or ForSequenceClassification."""
    return config["architectures"][0].removeprefix("DeepseekV3" if is_v3(config) else "DeepseekV2")


def layer_shapes(c: dict, layer: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names (after `model.layers.N.`) and [out, in] shapes of one layer's tensors."""
    h, heads = c["hidden_size"], c["num_attention_heads"]
    latent, rope = c["kv_lora_rank"], c["qk_rope_head_dim"]
    q_rows = heads * (c["qk_nope_head_dim"] + rope)
    yield "input_layernorm.weight", (h,)
    biased = c["attention_bias"]
    if c["q_lora_rank"] is None:
        yield "self_attn.q_proj.weight", (q_rows, h)
    else:
        yield "self_attn.q_a_proj.weight", (c["q_lora_rank"], h)
        if biased:
            yield "self_attn.q_a_proj.bias", (c["q_lora_rank"],)
        yield "self_attn.q_a_layernorm.weight", (c["q_lora_rank"],)
        yield "self_attn.q_b_proj.weight", (q_rows, c["q_lora_rank"])
    yield "self_attn.kv_a_proj_with_mqa.weight", (latent + rope, h)
    if biased:
        yield "self_attn.kv_a_proj_with_mqa.bias", (latent + rope,)
    yield "self_attn.kv_a_layernorm.weight", (latent,)
    yield ("self_attn.kv_b_proj.weight",
           (heads * (c["qk_nope_head_dim"] + c["v_head_dim"]), latent))
    yield "self_attn.o_proj.weight", (h, heads * c["v_head_dim"])
    if biased:
        yield "self_attn.o_proj.bias", (h,)
    yield "post_attention_layernorm.weight", (h,)

    def mlp(prefix: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{prefix}.gate_proj.weight", (width, h)
        yield f"{prefix}.up_proj.weight", (width, h)
        yield f"{prefix}.down_proj.weight", (h, width)

    if layer < c["first_k_dense_replace"]:
        yield from mlp("mlp", c["intermediate_size"])
        return
    yield "mlp.gate.weight", (c["n_routed_experts"], h)
    if is_v3(c):
        yield "mlp.gate.e_score_correction_bias", (c["n_routed_experts"],)
    for expert in range(c["n_routed_experts"]):
        yield from mlp(f"mlp.experts.{expert}", c["moe_intermediate_size"])
    if c["n_shared_experts"]:
        yield from mlp("mlp.shared_experts", c["n_shared_experts"] * c["moe_intermediate_size"])


def list_tensors(c: dict, preset: Preset) -> list[Tensor]:
    """All tensors of the model, in the order of a token's way, each by its published name."""
    dtype, hidden = preset.dtype, c["hidden_size"]
    tensors = [Tensor("model.embed_tokens.weight", (c["vocab_size"], hidden), dtype)]
    for layer in range(c["num_hidden_layers"]):
        for name, shape in layer_shapes(c, layer):
            wide = (name.endswith("correction_bias")
                    or (preset.f32_gate and name == "mlp.gate.weight"))
            tensors.append(Tensor(f"model.layers.{layer}.{name}", shape, "f32" if wide else dtype))
        if preset.inv_freq:
            tensors.append(Tensor(f"model.layers.{layer}.self_attn.rotary_emb.inv_freq",
                                  (c["qk_rope_head_dim"] // 2,), "f32"))
    tensors.append(Tensor("model.norm.weight", (hidden,), dtype))
    head = head_of(c)
    if head == "ForCausalLM" and not c["tie_word_embeddings"]:
        tensors.append(Tensor("lm_head.weight", (c["vocab_size"], hidden), dtype))
    if head == "ForSequenceClassification":
        tensors.append(Tensor("score.weight", (len(c.get("id2label", "ab")), hidden), dtype))
    return tensors


def is_fp8(name: str) -> bool:
    """Whether DeepSeek stores it so: the layers' matrices but the gate."""
    return "_proj" in name and name.endswith(".weight")


def stored_as(t: Tensor, c: dict, preset: Preset) -> list[Tensor]:
    """The tensors in the file that stand for `t`."""
    name, shape = t.name, t.shape
    if preset.fused and ".experts." in name:
        prefix, rest = name.split(".experts.")
        # The first expert's stand for all: [experts, 2 * width, hidden], [experts, hidden, width].
        if rest == "0.gate_proj.weight":
            name, shape = f"{prefix}.experts.gate_up_proj", (2 * shape[0], shape[1])
        elif rest == "0.down_proj.weight":
            name = f"{prefix}.experts.down_proj"
        else:
            return []
        shape = (c["n_routed_experts"], *shape)
    if head_of(c) == "Model":
        name = name.removeprefix("model.")
    if preset.fp8 and is_fp8(name):
        blocks = tuple(-(-size // FP8_BLOCK) for size in shape)
        return [Tensor(name, shape, "f8_e4m3"), Tensor(name + "_scale_inv", blocks, "f32")]
    return [Tensor(name, shape, t.dtype)]


class Weights:
    """Draws the values of any tensor by its name, as float32 or float64."""

    def __init__(self, config: dict, preset: Preset, seed: int, tensors: list[Tensor]):
        self.config, self.preset, self.seed = config, preset, seed
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
        """As the file has it, by the name that it has there."""
        if head_of(self.config) == "Model":
            name = "model." + name
        if name.endswith("_scale_inv"):
            return block_scales(self.draw(name.removesuffix("_scale_inv")))
        if name in self.shapes:
            values = self.draw(name)
            if not (self.preset.fp8 and is_fp8(name)):
                return values
            scales = block_scales(values).repeat(FP8_BLOCK, 0).repeat(FP8_BLOCK, 1)
            return values / scales[:values.shape[0], :values.shape[1]]
        prefix, fused = name.rsplit(".", 1)
        parts = ("gate_proj", "up_proj") if fused == "gate_up_proj" else ("down_proj",)
        return np.stack([np.concatenate([self.draw(f"{prefix}.{e}.{part}.weight")
                                         for part in parts])
                         for e in range(self.config["n_routed_experts"])])

    def draw(self, name: str) -> np.ndarray:
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
        if name in ("lm_head.weight", "score.weight"):
            return self.embedding_deviation * noise
        if name.endswith("correction_bias"):
            return self.gate_biases(name.split(".")[2]) + np.float32(self.preset.gate_bias_shift)
        if name.endswith("o_proj.bias"):
            return ATTENTION_BIAS * self.embedding_deviation * self.outside_clusters(noise)
        if name.endswith(".bias"):
            return ATTENTION_BIAS * noise
        if name.endswith("mlp.gate.weight"):
            rng, layer = self.rng(name + " preferences"), name.split(".")[2]
            context = V3_CONTEXT if is_v3(c) else GATE_CONTEXT
            preferences = (self.v3_preferences(rng, self.gate_biases(layer)) if is_v3(c)
                           else self.preferences(rng))
            # The stream grows with depth, so that a cluster's part of the normed stream shrinks.
            growth = math.sqrt(2 + 3 * int(layer))
            named = growth * preferences.T @ self.directions.T / math.sqrt(CLUSTER_ENERGY)
            named /= self.draw(name.replace("mlp.gate", "post_attention_layernorm"))
            return (named + context * noise) / math.sqrt(hidden)
        gain = READ_GAIN
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            gain = WRITE_GAIN * self.embedding_deviation
            if ".experts." in name:
                gain *= 2 / c["routed_scaling_factor"]
                if is_v3(c) and not c["norm_topk_prob"]:
                    gain *= 2 / c["num_experts_per_tok"]  # About the sum of the weights.
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

    def gate_biases(self, layer: str) -> np.ndarray:
        """[experts], without what all have in common."""
        rng, shape = self.rng(f"gate biases {layer}"), self.config["n_routed_experts"]
        sizes = rng.uniform(V3_LEAST_BIAS, V3_MOST_BIAS, shape)
        return (rng.choice([-1, 1], shape) * sizes).astype(np.float32)

    def v3_preferences(self, rng: np.random.Generator, biases: np.ndarray) -> np.ndarray:
        """[clusters, experts]: gate logits that give the choice scores V3_* under these biases."""
        c = self.config
        groups, permitted, chosen = c["n_group"], c["topk_group"], c["num_experts_per_tok"]
        per_group = c["n_routed_experts"] // groups
        assert permitted <= chosen <= permitted * per_group, "no such routing"
        scores = np.full((self.clusters, groups, per_group), V3_OTHER)
        for of_cluster in scores:
            order = rng.permutation(groups)
            ranked = [rng.permutation(per_group) for _ in range(permitted)]
            members = [(g, members[rank]) for rank in range(per_group)
                       for g, members in zip(order, ranked)]
            for place, (g, e) in enumerate(members):
                of_cluster[g, e] = V3_CHOSEN if place < chosen else V3_REST
            for g in order[permitted:]:
                of_cluster[g, rng.integers(per_group)] = V3_OTHER_HEAD
        scores += rng.uniform(-V3_SPREAD, V3_SPREAD, scores.shape)
        sigmoids = np.clip(scores.reshape(self.clusters, -1) - biases, 0.05, 0.95)
        return np.log(sigmoids / (1 - sigmoids))


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


def config_of(preset: Preset) -> dict:
    config = {k: v for k, v in BASE_CONFIG.items() if k not in preset.drop} | preset.config
    return config | {preset.dtype_key: TORCH_DTYPES[preset.dtype]}


def write_checkpoint(out: Path, config: dict, preset: Preset, seed: int) -> None:
    tensors = list_tensors(config, preset)
    weights = Weights(config, preset, seed, tensors)
    tensors = [stored for t in tensors for stored in stored_as(t, config, preset)]
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
    parser.add_argument("--seed", type=int, help="default: the preset's")
    parser.add_argument("--dtype", choices=TORCH_DTYPES, help="default: the preset's")
    parser.add_argument("--shards", type=int, help="default: the preset's")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON",
                        help="one field of config.json, e.g. hidden_size=256")
    args = parser.parse_args()
    preset = PRESETS[args.preset]
    preset = replace(preset, dtype=args.dtype or preset.dtype, shards=args.shards or preset.shards)
    config = config_of(preset)
    for key, _, value in (item.partition("=") for item in args.set):
        config[key] = json.loads(value)
    write_checkpoint(args.out, config, preset, preset.seed if args.seed is None else args.seed)


if __name__ == "__main__":
    main()
