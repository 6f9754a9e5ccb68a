"use strict";
// What the other scripts share: elements, numbers for people, tables, tabs, colours.

const at = (id) => document.getElementById(id);
const say = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; };
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// --- numbers for people

function short(number) {
  if (number === null || !isFinite(number)) return "–";
  for (const [size, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]])
    if (number >= size * 0.9995) return Number((number / size).toPrecision(3)) + unit;
  return String(number < 10 ? Number(number.toFixed(1)) : Math.round(number));
}
function bytes(number) {
  if (number === null || !isFinite(number)) return "–";
  for (const [size, unit] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]])
    if (number >= size) return Number((number / size).toPrecision(3)) + " " + unit;
  return Math.round(number) + " B";
}
const ago = (seconds) => seconds < 90 ? Math.round(seconds) + " s" : seconds < 5400
  ? Math.round(seconds / 60) + " min" : Math.round(seconds / 3600) + " h";

// --- tables: rows of cells, and how many more there are. A cell is a text, {text, share} with a bar
// behind it, or an element.

const nothing = (text) => make("p", {className: "empty", textContent: text});

function fill(id, empty, columns, rows, more = 0) {
  const place = at(id), selection = getSelection(), focused = document.activeElement?.dataset.key;
  if (!selection.isCollapsed && place.contains(selection.anchorNode)) return;  // somebody is copying
  if (!rows.length) return place.replaceChildren(nothing(empty));
  const table = make("table", {}), head = table.createTHead().insertRow(), body = table.createTBody();
  for (const [title, kind] of columns)
    head.append(make("th", {scope: "col", className: kind, textContent: title}));
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((value, i) => {
      const cell = line.insertCell();
      cell.className = columns[i][1];
      if (value && value.share !== undefined) {
        cell.classList.add("bar");
        cell.style.setProperty("--share", (100 * value.share).toFixed(1) + "%");
        value = value.text;
      }
      cell.append(value ?? "");
    });
  }
  const here = place.contains(document.activeElement);
  place.replaceChildren(table, ...(more > 0 ? [nothing(`and ${more} more`)] : []));
  if (here) place.querySelector(`[data-key="${focused}"]`)?.focus();
}

// --- tabs: the one that is shown stands in the address, so that it can be linked to

const TABS = ["overview", "connections", "flows", "console"];
let tab = "overview";

function show(name) {
  tab = TABS.includes(name) ? name : "overview";
  for (const each of TABS) {
    const button = at("tab-" + each), chosen = each === tab;
    button.setAttribute("aria-selected", chosen);
    button.tabIndex = chosen ? 0 : -1;
    at("panel-" + each).hidden = !chosen;
  }
  at("tab-" + tab).scrollIntoView({block: "nearest", inline: "nearest"});
  document.dispatchEvent(new Event("shown"));
}
for (const [i, name] of TABS.entries()) {
  at("tab-" + name).addEventListener("click", () => { history.replaceState(null, "", "#" + name); show(name); });
  at("tab-" + name).addEventListener("keydown", (event) => {
    const step = {ArrowRight: i + 1, ArrowLeft: i - 1 + TABS.length, Home: 0, End: TABS.length - 1}[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = at("tab-" + TABS[step % TABS.length]);
    next.click(); next.focus();
  });
}
addEventListener("hashchange", () => show(location.hash.slice(1)));

// --- colours: as the system has them unless somebody chose, which this browser remembers

function colour(theme) { document.documentElement.dataset.theme = theme; at("theme").value = theme; }
try { colour(localStorage.getItem("theme") || ""); } catch { /* nothing is remembered here */ }
at("theme").addEventListener("change", () => {
  colour(at("theme").value);
  try { localStorage.setItem("theme", at("theme").value); } catch { /* then only for this visit */ }
});
