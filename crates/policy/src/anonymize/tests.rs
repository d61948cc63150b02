mod attack;
mod budget;
mod forms;
mod oracle;
mod properties;
mod world;
