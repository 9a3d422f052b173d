"""How branchy is a Python file? Pure Python over its syntax tree, so it keeps a core busy and holds the GIL."""
import ast

BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.ExceptHandler, ast.BoolOp, ast.comprehension, ast.Assert)


def measure(path):
    """Functions of a file, and the most branches that one of them has."""
    with open(path, "rb") as file:
        source = file.read()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {"functions": 0, "branches": 0, "worst": None}  # the library's tests hold files that are wrong on purpose
    functions, most, worst = 0, 0, None
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            functions += 1
            branches = sum(isinstance(inner, BRANCHES) for inner in ast.walk(node))
            if branches > most:
                most, worst = branches, node.name
    return {"functions": functions, "branches": most, "worst": worst}
