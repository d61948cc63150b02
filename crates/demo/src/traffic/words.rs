//! The words of the synthetic traffic: texts, routes, operators and addresses. All are invented.

/// Texts as businesses send them. Each `#` is replaced by a digit.
pub(super) const TEXTS: [&str; 16] = [
    "Your verification code is ######. Do not share it.",
    "###### is your sign-in code. It is valid for 10 minutes.",
    "Your parcel ########## arrives today between 14:00 and 16:00.",
    "Reminder: your appointment is on Tuesday at 09:30. Reply C to cancel.",
    "Payment of EUR ##.## to Example Store was approved. Not you? Call us.",
    "Uw code is ######. Deel deze met niemand.",
    "Uw pakket ########## wordt vandaag bezorgd tussen 18:00 en 20:00.",
    "Ihr Best\u{e4}tigungscode lautet ######. Bitte geben Sie ihn nicht weiter.",
    "Votre code de confirmation est ######. Ne le partagez pas.",
    "Il tuo codice \u{e8} ######. Valido per 5 minuti.",
    "Hi, I have a question about order ########. Can you help me?",
    "Thanks, that works!",
    "Flight EX#### to Lisbon is delayed. New departure 17:45, gate B##.",
    "Your table for 4 is confirmed for Friday 19:30. See you then!",
    "Low balance: your account ends in #### and is below EUR 25.",
    "15% off your next order with code SAVE####. STOP to opt out.",
];

/// The suppliers that a message passes through, by route.
pub(super) const ROUTES: [&str; 8] = [
    "direct-nl1",
    "hub-fra>direct-de2",
    "hub-lon>tier1-uk",
    "hub-ams>tier1-it",
    "hub-sin>agg-in4",
    "hub-nyc>tier1-us",
    "hub-mad>direct-es1",
    "hub-fra>agg-pl2",
];

/// Mobile country and network codes of terminating operators.
pub(super) const OPERATORS: [&str; 10] = [
    "20404", "20408", "20416", "26201", "26202", "23410", "20801", "22201", "40410", "310260",
];

/// The names of senders.
pub(super) const SENDERS: [&str; 8] = [
    "ExampleBank",
    "ParcelNow",
    "MyClinic",
    "ShopNow",
    "AirExample",
    "CityTaxi",
    "Utility",
    "SignIn",
];

pub(super) const SUBJECT_LINES: [&str; 6] = [
    "Your order is on its way",
    "Invoice for November",
    "Reset your password",
    "Five things to do this weekend",
    "Your appointment is confirmed",
    "Welcome aboard",
];

pub(super) const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0",
    "ExampleMail/7.2 (Android 16)",
];

pub(super) const TOWNS: [&str; 8] = [
    "Amsterdam, NL",
    "Utrecht, NL",
    "Berlin, DE",
    "London, GB",
    "Milano, IT",
    "Paris, FR",
    "Mumbai, IN",
    "New York, US",
];

pub(super) const JOBS: [&str; 8] = [
    "buyer",
    "engineer",
    "head of support",
    "managing director",
    "nurse",
    "privacy officer",
    "sales manager",
    "teacher",
];

pub(super) const COMPANIES: [&str; 6] = [
    "Example Bank",
    "Example Retail",
    "Example Air",
    "Example Clinic",
    "Example Energy",
    "Example Media",
];

pub(super) const MEETINGS: [&str; 5] = [
    "Intake",
    "Quarterly review",
    "Product demonstration",
    "Consultation",
    "Interview",
];

pub(super) const REVIEWS: [&str; 4] = [
    "Clear picture, good sound",
    "Sound came and went",
    "Helpful",
    "Waited too long",
];

pub(super) const SEGMENTS: [&str; 5] = ["new", "loyal", "at-risk", "18-24", "65+"];

pub(super) const PURPOSES: [&str; 4] = [
    "newsletter",
    "offers by SMS",
    "analytics cookies",
    "call recording",
];

pub(super) const CAMPAIGNS: [&str; 5] = [
    "spring-launch",
    "webinar-eu",
    "fair-berlin",
    "winback",
    "referral",
];

pub(super) const DEVICES: [&str; 3] = ["camera", "microphone", "screen"];

pub(super) const PLAIN: [&str; 12] = [
    "alpha", "bravo", "delta", "echo", "foxtrot", "hotel", "kilo", "lima", "oscar", "sierra",
    "tango", "victor",
];

pub(super) const CURRENCIES: [&str; 3] = ["EUR", "USD", "GBP"];
