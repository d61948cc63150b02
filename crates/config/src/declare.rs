//! The macro that declares a section of the configuration: each key is one field with its
//! documentation, its type and its default.

/// Declares sections. A field is a key of the file; `= value` is its default, which else is that of
/// its type. An attribute `#[serde(with = "...")]` names the way to write it and its limits, one of
/// those in [`super::forms`]. `#[serde(rename = "")]` places the keys of a struct in the section
/// itself.
macro_rules! settings {
    ($($(#[$attribute:meta])* $seen:vis struct $name:ident {
        $($(#[$field_attribute:meta])* $field_seen:vis $field:ident: $type:ty $(= $default:expr)?,)*
    })*) => {$(
        $(#[$attribute])*
        #[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        $seen struct $name {
            $($(#[$field_attribute])* $field_seen $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: settings!(@default $($default)?),)* }
            }
        }
    )*};
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
}

pub(super) use settings;
