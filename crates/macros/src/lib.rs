//! Attributes of the Cotangent framework; `cotangent::check` exports them.

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

/// Adds a test that checks the gradients of a function of tensors.
///
/// The arguments are the function's inputs, each drawn as by `cotangent::check::real`, `distinct`, `given`, `index` or
/// `truth`. The test is named `gradcheck_` and the function's name; it runs the check with gradients of both orders, and
/// shrinks inputs that fail. Options follow the inputs: `orders = 1`, `seed = 3`, `rtol = 1e-6`, `atol = 1e-8`, and
/// `crate = path` where the framework is not at `::cotangent`.
#[proc_macro_attribute]
pub fn gradcheck(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let test = Arguments::parse(arguments).and_then(|arguments| test(&arguments, &item));
    let test = test.unwrap_or_else(|(message, span)| spanned(code(&format!("compile_error!({message:?});")), span));
    [item, test].into_iter().collect()
}

/// What is wrong, and where.
type Mistake = (String, Span);

struct Arguments {
    inputs: Vec<TokenStream>,
    /// Calls of `Gradcheck`'s methods.
    options: TokenStream,
    /// Where the framework is.
    path: TokenStream,
}

impl Arguments {
    fn parse(arguments: TokenStream) -> Result<Arguments, Mistake> {
        let mut parsed = Arguments { inputs: vec![], options: TokenStream::new(), path: code("::cotangent") };
        for argument in split(arguments) {
            let Some((name, value)) = option(&argument) else {
                parsed.inputs.push(argument);
                continue;
            };
            match name.to_string().as_str() {
                "crate" => parsed.path = value,
                "orders" | "seed" | "rtol" | "atol" => {
                    let value = TokenTree::Group(Group::new(Delimiter::Parenthesis, value));
                    parsed.options.extend([code("."), TokenTree::Ident(name).into(), value.into()]);
                }
                other => {
                    let message =
                        format!("gradcheck: unknown option `{other}`; there are orders, seed, rtol, atol, crate");
                    return Err((message, name.span()));
                }
            }
        }
        Ok(parsed)
    }
}

/// `name = value`.
fn option(argument: &TokenStream) -> Option<(Ident, TokenStream)> {
    let mut tokens = argument.clone().into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Ident(name)), Some(TokenTree::Punct(sign))) if sign.as_char() == '=' => {
            Some((name, tokens.collect()))
        }
        _ => None,
    }
}

/// The test of the function `item`.
fn test(arguments: &Arguments, item: &TokenStream) -> Result<TokenStream, Mistake> {
    let (name, parameters) = function(item)?;
    let (given, wanted) = (arguments.inputs.len(), parameters.len());
    if given != wanted {
        let example = "#[gradcheck(real([2, 3], -2.0..2.0))]";
        let message = format!("gradcheck: `{name}` takes {wanted} tensors, and {given} inputs are given: {example}");
        return Err((message, name.span()));
    }
    let inputs = arguments.inputs.iter().flat_map(|input| [input.clone(), code(",")]).collect();
    let names: Vec<String> = (0..wanted).map(|k| format!("__x{k}")).collect();
    let names = names.join(", ");
    // The names of `check` are in scope for the inputs alone, so that they hide nothing from the function's call.
    let template = format!(
        "#[cfg(test)] #[test] fn gradcheck_{}() {{
            PATH::check::Gradcheck::new().orders(2).shrink() OPTIONS
                .drawn(|[{names}]| NAME({names}), {{ #[allow(unused_imports)] use PATH::check::*; [INPUTS] }})
                .assert_ok();
        }}",
        name.to_string().trim_start_matches("r#")
    );
    let known = [
        ("PATH", arguments.path.clone()),
        ("INPUTS", inputs),
        ("OPTIONS", arguments.options.clone()),
        ("NAME", TokenTree::Ident(name).into()),
    ];
    Ok(filled(code(&template), &known))
}

/// The name and the parameters of a function.
fn function(item: &TokenStream) -> Result<(Ident, Vec<TokenStream>), Mistake> {
    let mut tokens = item.clone().into_iter().skip_while(|token| token.to_string() != "fn").skip(1);
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Ident(name)), Some(TokenTree::Group(parameters))) => {
            let parameters = split(parameters.stream());
            let own = |parameter: &TokenStream| parameter.clone().into_iter().any(|token| token.to_string() == "self");
            match parameters.iter().any(own) {
                true => Err(("gradcheck: methods cannot be checked; call it from a function".into(), name.span())),
                false => Ok((name, parameters)),
            }
        }
        (Some(TokenTree::Ident(name)), Some(_)) => {
            Err((format!("gradcheck: `{name}` is generic; call it from a function of `&Tensor`s"), name.span()))
        }
        _ => Err((
            "gradcheck: this is no function; it belongs on `fn name(x: &Tensor) -> Tensor`".into(),
            Span::call_site(),
        )),
    }
}

/// The parts between commas.
fn split(tokens: TokenStream) -> Vec<TokenStream> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let comma = |token: &TokenTree| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ',');
    let parts = tokens.split(comma).map(|part| part.iter().cloned().collect::<TokenStream>());
    parts.filter(|part| !part.is_empty()).collect()
}

/// A template with the known names replaced.
fn filled(template: TokenStream, known: &[(&str, TokenStream)]) -> TokenStream {
    let token = |token: TokenTree| match token {
        TokenTree::Group(group) => {
            let mut inner = Group::new(group.delimiter(), filled(group.stream(), known));
            inner.set_span(group.span());
            TokenTree::Group(inner).into()
        }
        TokenTree::Ident(name) => {
            let name = name.to_string();
            let found = known.iter().find(|(known, _)| *known == name);
            found.map_or_else(|| code(&name), |(_, tokens)| tokens.clone())
        }
        other => other.into(),
    };
    template.into_iter().flat_map(token).collect()
}

fn spanned(tokens: TokenStream, span: Span) -> TokenStream {
    let set = |mut token: TokenTree| {
        token.set_span(span);
        token
    };
    tokens.into_iter().map(set).collect()
}

/// Tokens from text that is known to be right.
fn code(text: &str) -> TokenStream {
    text.parse().expect("valid tokens")
}
