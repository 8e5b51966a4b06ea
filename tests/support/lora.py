"""Makes a LoRA adapter that changes what a model says, with peft as people do. Run by the engine environment's Python.

Arguments: the model's folder, the folder to write, the rank, a seed.
"""

import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

model_folder, folder, rank, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.manual_seed(seed)
model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.bfloat16)
config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["q_proj", "v_proj", "o_proj"], task_type="CAUSAL_LM")
adapted = get_peft_model(model, config)
for name, parameter in adapted.named_parameters():
    if "lora_B" in name:  # zero in a new adapter, which therefore changes nothing
        torch.nn.init.normal_(parameter, std=0.2)
adapted.save_pretrained(folder)
