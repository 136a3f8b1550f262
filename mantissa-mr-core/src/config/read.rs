//! Reading the formats. A reader puts what it cannot read among the findings and gives nothing back: what a broken file
//! was meant to say is not guessed.

mod hcl;
mod json;
mod toml_text;

use super::Format;
use super::findings::Findings;
use super::tree::Table;

/// Reads one source, the `source`-th of all.
pub(super) fn read(source: usize, text: &str, format: Format, findings: &mut Findings) -> Option<Table> {
    match format {
        Format::Tfvars => hcl::read(source, text, findings),
        Format::TfvarsJson => json::read(source, text, findings).map(json::templates_unresolved),
        Format::Toml => toml_text::read(source, text, findings),
        Format::Json => json::read(source, text, findings),
    }
}
