//! Terraform's variable files: assignments of values, in HCL.

use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::parser::{Error, parse_body};
use hcl_edit::structure::{Attribute, Structure};
use hcl_edit::template::Element;
use hcl_edit::{Number, Span};

use crate::config::findings::Findings;
use crate::config::tree::{At, Entry, Node, Table, Value};
use crate::problem::Problem;

pub(super) const TEMPLATE: &str = "a template that nothing fills in";

pub(super) fn read(source: usize, text: &str, findings: &mut Findings) -> Option<Table> {
    let body = match parse_body(text) {
        Ok(body) => body,
        Err(error) => {
            findings.at(At { source, offset: error.location().offset() }, syntax(&error));
            return None;
        }
    };
    let mut table = Table::new();
    for structure in body.iter() {
        match structure {
            Structure::Attribute(attribute) => {
                let (name, entry) = assignment(source, attribute);
                table.insert(name, entry);
            }
            Structure::Block(block) => {
                let at = At { source, offset: start(block.ident.span(), 0) };
                let message =
                    format!("a block `{}`: a tfvars file holds assignments only", block.ident.as_str());
                findings.at(at, Problem::new("", message).with_advice("is this a .tf file?"));
            }
        }
    }
    Some(table)
}

/// The parser's message and no more: its long form shows the line, which may hold a secret.
fn syntax(error: &Error) -> Problem {
    match error.message() {
        "unexpected token" => {
            let advice = "is a quote or a bracket not closed?";
            Problem::new("", "syntax: the assignment that starts here cannot be read").with_advice(advice)
        }
        message => Problem::new("", format!("syntax: {message}")),
    }
}

fn assignment(source: usize, attribute: &Attribute) -> (String, Entry) {
    let key = At { source, offset: start(attribute.key.span(), 0) };
    let node = node(key, &attribute.value);
    (attribute.key.as_str().to_owned(), Entry { key, node })
}

fn start(span: Option<std::ops::Range<usize>>, otherwise: usize) -> usize {
    span.map_or(otherwise, |span| span.start)
}

/// The value of an expression. `around` is where the thing stands that it is part of.
fn node(around: At, expression: &Expression) -> Node {
    let at = At { offset: start(expression.span(), around.offset), ..around };
    let value = match expression {
        Expression::Null(_) => Value::Null,
        Expression::Bool(flag) => Value::Flag(*flag.value()),
        Expression::Number(number) => self::number(number.value()),
        Expression::String(text) => Value::Text(text.value().clone()),
        Expression::StringTemplate(template) => literal(template.iter()),
        Expression::HeredocTemplate(heredoc) => literal(heredoc.template.iter()),
        Expression::Parenthesis(inner) => node(at, inner.inner()).value,
        Expression::Array(array) => Value::List(array.iter().map(|element| node(at, element)).collect()),
        Expression::Object(object) => {
            let pairs = object.iter().map(|(key, value)| {
                let key_at = At { offset: start(key.span(), at.offset), ..at };
                Some((key_text(key)?, Entry { key: key_at, node: node(key_at, value.expr()) }))
            });
            pairs.collect::<Option<Table>>().map_or(Value::Unresolved("a computed key"), Value::Table)
        }
        Expression::Variable(_) => Value::Unresolved("a text without quotes, or a reference"),
        Expression::Traversal(_) => Value::Unresolved("a reference"),
        Expression::FuncCall(_) => Value::Unresolved("a function call"),
        Expression::Conditional(_)
        | Expression::UnaryOp(_)
        | Expression::BinaryOp(_)
        | Expression::ForExpr(_) => Value::Unresolved("an expression to be computed"),
    };
    Node { at, value }
}

fn number(number: &Number) -> Value {
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => Value::Integer(whole),
        (None, Some(float)) => Value::Float(float),
        (None, None) => Value::Unresolved("a number without bounds"),
    }
}

/// The text of a template that fills nothing in.
fn literal<'t>(elements: impl Iterator<Item = &'t Element>) -> Value {
    let texts = elements.map(|element| element.as_literal().map(|text| text.as_str()));
    texts.collect::<Option<String>>().map_or(Value::Unresolved(TEMPLATE), Value::Text)
}

fn key_text(key: &ObjectKey) -> Option<String> {
    match key {
        ObjectKey::Ident(ident) => Some(ident.as_str().to_owned()),
        ObjectKey::Expression(Expression::String(text)) => Some(text.value().clone()),
        ObjectKey::Expression(Expression::Number(number)) => Some(number.value().to_string()),
        ObjectKey::Expression(_) => None,
    }
}
