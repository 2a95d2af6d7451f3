"""Jinja2 templates in a rule file, such as the body of a call: sandboxed, no name is guessed."""

from collections.abc import Mapping

from wattgov_actuator.document.tree import line_of

# What a template of another's making can raise besides Jinja2's own errors.
WRONG = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
STRANGE = (MemoryError, RecursionError, SyntaxError)


def rendered(text: str, variables: Mapping[str, object]) -> str:
    """Return the template with the variables in it; raises ValueError with a sentence."""
    from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError  # noqa: PLC0415 (for few)
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415 (the same)

    try:
        environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        return environment.from_string(text).render(variables)
    except TemplateSyntaxError as error:
        where = f" (its line {error.lineno})" if "\n" in text else ""
        said = line_of(str(error.message)).rstrip(".")
        raise ValueError(f"is no template: {said}{where}") from None
    except STRANGE:
        raise ValueError("is nested too deeply, or too large") from None
    except (TemplateError, *WRONG) as error:
        raise ValueError(f"cannot be filled in: {line_of(str(error))}") from None
