"""The request for an adapter."""

from dataclasses import dataclass


@dataclass
class LoRARequest:
    """Name, number and folder of an adapter."""

    lora_name: str
    lora_int_id: int
    lora_path: str
