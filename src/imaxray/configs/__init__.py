"""The configurations that ship with the package; each is found by its name.

The YAML files lie beside this module: studies, strategies, and in ``train/`` one recipe for each
model of the registry.
"""

from imaxray.configs.builtin import (
    BuiltinConfig,
    copy_config,
    find_config,
    list_configs,
    show_config,
)

__all__ = ["BuiltinConfig", "copy_config", "find_config", "list_configs", "show_config"]
