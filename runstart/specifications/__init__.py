"""What an operator is: operator.json, values of parameters, operators in folders, new ones, and their images."""

from runstart.specifications.building import ENGINES, SPEC_LABEL, build_image
from runstart.specifications.declarations import read_parameter, read_port, read_trigger
from runstart.specifications.finding import (
    OPERATORS_VARIABLE,
    FoundOperator,
    check_operator_name,
    find_operators,
    operators_folders,
)
from runstart.specifications.operator_spec import (
    OPERATOR_FILE,
    OperatorSpec,
    ParallelConfig,
    PortSpec,
    TagSpec,
    TriggerSpec,
    parse_operator_spec,
    read_operator_spec,
)
from runstart.specifications.parameters import Parameter, ParameterSpec
from runstart.specifications.scaffold import NewOperator, new_spec, write_operator
from runstart.specifications.schema import operator_json_schema
from runstart.specifications.validation import Finding, validate_operator
from runstart.specifications.values import check_values, missing_values, parameters_json_schema, value_troubles

__all__ = [
    "ENGINES",
    "OPERATORS_VARIABLE",
    "OPERATOR_FILE",
    "SPEC_LABEL",
    "Finding",
    "FoundOperator",
    "NewOperator",
    "OperatorSpec",
    "ParallelConfig",
    "Parameter",
    "ParameterSpec",
    "PortSpec",
    "TagSpec",
    "TriggerSpec",
    "build_image",
    "check_operator_name",
    "check_values",
    "find_operators",
    "missing_values",
    "new_spec",
    "operator_json_schema",
    "operators_folders",
    "parameters_json_schema",
    "parse_operator_spec",
    "read_operator_spec",
    "read_parameter",
    "read_port",
    "read_trigger",
    "validate_operator",
    "value_troubles",
    "write_operator",
]
