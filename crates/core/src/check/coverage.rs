//! Which operations a source text defines without samples.

use super::conformance::operations;
use std::collections::BTreeSet;

/// The operations that a source file defines and that are not registered: public methods in `impl Tensor` that return
/// tensors, and names given to `.record("..")` and `.named("..")` as literals. Comments are skipped. For the test of a
/// crate that adds operations:
///
/// ```
/// use cotangent_core::check::unregistered;
/// let source = r#"
/// impl Tensor {
///     pub fn exp(&self) -> Tensor {
///         todo()
///     }
///     pub fn untested(&self, f: impl Fn(f64) -> f64) -> [Tensor; 2] {
///         todo()
///     }
/// }
/// "#;
/// assert_eq!(unregistered(source), ["untested"]);
/// ```
pub fn unregistered(source: &str) -> Vec<String> {
    let registered: BTreeSet<&str> = operations().into_iter().map(|(name, _)| name).collect();
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let names: BTreeSet<&str> =
        methods(&code).chain(literals(&code, ".record(")).chain(literals(&code, ".named(")).collect();
    names.into_iter().filter(|name| !registered.contains(name)).map(String::from).collect()
}

/// Names of public methods of `Tensor` that return tensors. The source is formatted as usual.
fn methods(code: &str) -> impl Iterator<Item = &str> {
    let blocks = code.split("\nimpl Tensor {").skip(1).map(|rest| rest.split("\n}").next().unwrap_or(rest));
    let functions = blocks.flat_map(|block| block.split("\n    pub fn ").skip(1));
    functions.filter_map(|function| {
        let signature = function.split(" {\n").next()?;
        let (_, result) = signature.rsplit_once("->")?;
        // The last arrow may be that of an argument.
        let is_result = result.matches('(').count() == result.matches(')').count();
        let name = signature.split(['(', '<']).next()?;
        (is_result && result.contains("Tensor")).then_some(name)
    })
}

/// String literals that are the first argument of `call`.
fn literals<'a>(code: &'a str, call: &'a str) -> impl Iterator<Item = &'a str> {
    let arguments = code.split(call).skip(1);
    arguments.filter_map(|rest| rest.strip_prefix('"')?.split('"').next())
}
