"""Contains the configurations that ship with the package and finds each of them by its name.

The YAML files of studies and strategies are beside this module; ``train/`` has one recipe for each
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
