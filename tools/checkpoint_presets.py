"""The presets of make_checkpoint.py: config.json, and how the tensors are stored."""

from dataclasses import dataclass, field

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
    fp8: bool = False  # The layers' matrices but the gate in fp8, with a scale for each block.
    fused: bool = False  # All experts of a layer in one tensor, as transformers holds them.
    dtype_key: str = "torch_dtype"  # How config.json spells the field: newer files say "dtype".
    gate_bias_shift: float = 0.0  # Of all of V3's correction biases: it must change nothing.
    seed: int = 1


# The grid of golden cases: a checkpoint of some 100 kB each.
SMALL = {
    "vocab_size": 256, "hidden_size": 40, "num_hidden_layers": 3, "q_lora_rank": 24,
    "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 12,
    "intermediate_size": 56, "moe_intermediate_size": 12, "n_routed_experts": 8,
    "num_experts_per_tok": 3, "n_shared_experts": 1, "n_group": 4, "topk_group": 2,
    "routed_scaling_factor": 2.0,
}
GREEDY = {"topk_method": "greedy", "n_group": 1, "topk_group": 1}
V3 = {
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3",
    "topk_method": "noaux_tc", "scoring_func": "sigmoid", "norm_topk_prob": True,
    "num_experts_per_tok": 4, "routed_scaling_factor": 2.5,
    "rope_scaling": {**YARN, "mscale": 1.0, "mscale_all_dim": 1.0},
}
FP8 = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
       "weight_block_size": [128, 128]}

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
    # Every token uses two of four groups, and goes far beyond the original context.
    "v3": Preset(SMALL | V3 | {
        "n_routed_experts": 16, "max_position_embeddings": 1280,
        "rope_scaling": {**V3["rope_scaling"], "original_max_position_embeddings": 32},
    }, seed=21),
    # No expert has a choice score above 0: who rules groups out by a score of 0 chooses those.
    "v3raw": Preset(SMALL | V3 | {
        "norm_topk_prob": False, "q_lora_rank": None, "first_k_dense_replace": 0,
        "num_experts_per_tok": 5, "topk_group": 3, "rope_scaling": None,
        "routed_scaling_factor": 1.0,
    }, dtype="f32", dtype_key="dtype", gate_bias_shift=-2.0, seed=22),
    # One expert a token: renormalised, its weight is routed_scaling_factor whatever its score.
    "v3one": Preset(SMALL | V3 | {
        "num_experts_per_tok": 1, "n_group": 1, "topk_group": 1, "n_shared_experts": 2,
        "attention_bias": True, "tie_word_embeddings": True,
    }, dtype="f16", seed=23),
    # As DeepSeek stores V3. No matrix fits its blocks, and each kind of matrix has one of several.
    "v3fp8": Preset(SMALL | V3 | {
        "vocab_size": 224, "hidden_size": 160, "num_hidden_layers": 2, "q_lora_rank": 136,
        "kv_lora_rank": 40, "qk_nope_head_dim": 30, "qk_rope_head_dim": 12, "v_head_dim": 36,
        "intermediate_size": 264, "moe_intermediate_size": 24, "n_shared_experts": 6,
        "num_experts_per_tok": 3, "n_group": 2, "topk_group": 1, "quantization_config": FP8,
    }, fp8=True, seed=45),
    "v3bare": Preset(SMALL | V3 | {
        "architectures": ["DeepseekV3Model"], "num_hidden_layers": 2, "topk_group": 3,
    }, fused=True, seed=25),
    # No names of classes, and no padding.
    "v3score": Preset(SMALL | V3 | {
        "architectures": ["DeepseekV3ForSequenceClassification"], "num_hidden_layers": 2,
        "n_group": 2, "topk_group": 1, "num_experts_per_tok": 2,
    }, seed=26),
    "biased": Preset(SMALL | {"attention_bias": True}, seed=27),
    # There is no q_a_proj, and q_proj never has a bias.
    "linear": Preset(SMALL | GREEDY | {
        "attention_bias": True, "q_lora_rank": None,
        "rope_scaling": {"type": "linear", "factor": 4.0},
    }, dtype="f32", seed=28),
    # All groups are permitted. transformers' own spelling of the type.
    "dynamic": Preset(SMALL | {
        "num_experts_per_tok": 4, "topk_group": 4, "max_position_embeddings": 512,
        "rope_scaling": {"rope_type": "dynamic", "factor": 2.0},
    }, dtype="f16", seed=29),
    "factor": Preset(SMALL | {
        "max_position_embeddings": 512,
        "rope_parameters": {"rope_type": "yarn", "rope_theta": 500.0, "factor": 8.0,
                            "original_max_position_embeddings": 64, "attention_factor": 1.25,
                            "beta_fast": 16, "beta_slow": 2, "truncate": False},
    }, drop=("rope_theta", "rope_scaling"), dtype_key="dtype", seed=30),
    "noshared": Preset(SMALL | {"n_shared_experts": 0, "first_k_dense_replace": 0}, seed=31),
    # No gate anywhere. With mscale alone, cos and sin get a factor from `factor` alone.
    "dense": Preset(SMALL | {
        "first_k_dense_replace": 3,
        "rope_scaling": {k: v for k, v in YARN.items() if k != "mscale_all_dim"},
    }, seed=32),
    "topone": Preset(SMALL | {"num_experts_per_tok": 1, "topk_group": 1}, dtype="f32", seed=33),
    "topall": Preset(SMALL | GREEDY | {"n_routed_experts": 6, "num_experts_per_tok": 6}, seed=34),
    "fused": Preset(SMALL, fused=True, f32_gate=True, seed=35),
    "bare": Preset(SMALL | {"architectures": ["DeepseekV2Model"]}, shards=2, seed=36),
    "score": Preset(SMALL | {
        "architectures": ["DeepseekV2ForSequenceClassification"], "num_hidden_layers": 2,
        "id2label": {"0": "no", "1": "yes", "2": "perhaps"},
        "label2id": {"no": 0, "yes": 1, "perhaps": 2}, "pad_token_id": 1,
    }, seed=37),
    # 128 experts of 1.5 MiB: 201 MB of experts, everything else is small. For measurements.
    "bench200": Preset({
        "vocab_size": 512, "hidden_size": 512, "num_hidden_layers": 3,
        "num_attention_heads": 8, "num_key_value_heads": 8, "q_lora_rank": None,
        "intermediate_size": 1024, "moe_intermediate_size": 512, "n_routed_experts": 64,
        "num_experts_per_tok": 6, "n_shared_experts": 1,
        "topk_method": "greedy", "n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0,
    }),
}
