"""What the demo model is: the config.json it is trained with and the one it ships with."""

import copy

from transformers import DeepseekV2Config

VOCAB_SIZE = 6144
TRAINED_LENGTH = 512  # Tokens of a window in the first phase of training.
YARN_FACTOR = 8
CONTEXT = TRAINED_LENGTH * YARN_FACTOR
YARN = {"type": "yarn", "factor": YARN_FACTOR, "original_max_position_embeddings": TRAINED_LENGTH,
        "beta_fast": 32, "beta_slow": 1, "mscale": 0.707, "mscale_all_dim": 0.707}

# As published with DeepSeek-V2, with its proportions: latent, rope and v dims 4, 1/2 and 1 times
# the nope dims. Tied embeddings, since they would be a quarter of all weights otherwise.
CONFIG = {
    "architectures": ["DeepseekV2ForCausalLM"],
    "model_type": "deepseek_v2",
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 256,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "q_lora_rank": 128,
    "kv_lora_rank": 128,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "v_head_dim": 32,
    "intermediate_size": 640,
    "moe_intermediate_size": 80,
    "n_routed_experts": 16,
    "n_shared_experts": 2,
    "num_experts_per_tok": 4,
    "first_k_dense_replace": 1,
    "moe_layer_freq": 1,
    "topk_method": "group_limited_greedy",
    "n_group": 4,
    "topk_group": 2,
    "norm_topk_prob": False,
    "routed_scaling_factor": 2.5,
    "scoring_func": "softmax",
    "aux_loss_alpha": 0.01,
    "seq_aux": False,
    "pretraining_tp": 1,
    "ep_size": 1,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-06,
    "max_position_embeddings": CONTEXT,
    "rope_theta": 10000,
    "rope_scaling": YARN,
    "tie_word_embeddings": True,
    "use_cache": True,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "torch_dtype": "bfloat16",
}


def shipped_config() -> dict:
    """The config.json of the finished model."""
    return copy.deepcopy(CONFIG)


def model_config(*, yarn: bool) -> DeepseekV2Config:
    """For transformers; without `yarn`, as the first phase of training has it."""
    config = shipped_config()
    if not yarn:
        del config["rope_scaling"]
    del config["torch_dtype"], config["model_type"]
    return DeepseekV2Config(**config)
