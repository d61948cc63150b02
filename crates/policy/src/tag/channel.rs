//! The canonical form of channel ids: `platform:id`.

use super::characters::trimmed;
use super::email;
use super::phone::PhoneForm;
use super::text::lower;

/// Platforms whose ids are telephone numbers, always with the calling code.
const OF_NUMBERS: [&str; 11] = [
    "whatsapp", "wa", "signal", "viber", "sms", "mms", "rcs", "imessage", "phone", "tel", "voice",
];

/// Platforms whose ids are mail addresses.
const OF_ADDRESSES: [&str; 3] = ["email", "mail", "imessage"];

/// Platforms whose ids are case-insensitive names, with or without a leading `@`.
const OF_HANDLES: [&str; 6] = ["telegram", "twitter", "x", "instagram", "threads", "skype"];

/// Appends a channel's id, `platform:id`: the platform in lower case, the id trimmed and in its
/// platform's form. Without a platform the text begins with the colon.
pub(super) fn write(platform: Option<&str>, id: &str, to: &mut Vec<u8>) {
    let start = to.len();
    lower(trimmed(platform.unwrap_or_default()), to);
    let name = String::from_utf8_lossy(&to[start..]).into_owned();
    to.push(b':');
    let id = without_platform(trimmed(id), &name);
    let is = |platforms: &[&str]| platforms.contains(&name.as_str());
    if is(&OF_NUMBERS) {
        let before = to.len();
        if PhoneForm::new(None).write(id, to) {
            return;
        }
        to.truncate(before);
    }
    if is(&OF_ADDRESSES) && id.contains('@') {
        email::write(id, to);
    } else if is(&OF_HANDLES) {
        to.extend(
            id.trim_start_matches('@')
                .bytes()
                .map(|byte| byte.to_ascii_lowercase()),
        );
    } else {
        to.extend_from_slice(id.as_bytes());
    }
}

/// Returns an id without a prefix that repeats its platform's name, which some platforms write into
/// the id itself.
fn without_platform<'t>(mut id: &'t str, platform: &str) -> &'t str {
    while !platform.is_empty()
        && let Some((before, rest)) = id.split_once(':')
        && trimmed(before).eq_ignore_ascii_case(platform)
    {
        id = trimmed(rest);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag::text::written;

    fn canonical(platform: &str, id: &str) -> String {
        written(|to| write(Some(platform), id, to))
    }

    #[test]
    fn an_id_is_written_as_its_platform_writes_it() {
        let table = [
            ("WhatsApp", "+31 6 1234-5678", "whatsapp:31612345678"),
            ("whatsapp", "whatsapp:+31612345678", "whatsapp:31612345678"),
            (
                "whatsapp",
                "31612345678@s.whatsapp.net",
                "whatsapp:31612345678",
            ),
            ("WhatsApp", "+31612", "whatsapp:+31612"),
            (
                "whatsapp",
                "120363025246125486@g.us",
                "whatsapp:120363025246125486@g.us",
            ),
            ("line", " U4aF ", "line:U4aF"),
            ("Telegram", "@Ann_Lee", "telegram:ann_lee"),
            ("email", "Ann <Ann@Example.ORG>", "email:ann@example.org"),
            (" Slack\u{200B}", "U02ABC", "slack:U02ABC"),
            ("line", "a:b", "line:a:b"),
        ];
        for (platform, id, wanted) in table {
            assert_eq!(canonical(platform, id), wanted, "{platform} {id}");
            let (platform, id) = wanted.split_once(':').unwrap();
            assert_eq!(canonical(platform, id), wanted, "its own form");
        }
        assert_eq!(written(|to| write(None, "AbC", to)), ":AbC");
    }
}
