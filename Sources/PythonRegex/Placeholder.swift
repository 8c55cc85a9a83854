// PythonRegex
