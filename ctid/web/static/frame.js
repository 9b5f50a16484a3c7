// The menu of the frame closes by Escape, and when one turns to something else; it opens without a script.

const menu = document.getElementById("menu");

menu.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !menu.open) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
menu.addEventListener("focusout", (event) => {
  if (event.relatedTarget !== null && !menu.contains(event.relatedTarget)) menu.open = false;
});
document.addEventListener("pointerdown", (event) => { if (!menu.contains(event.target)) menu.open = false; });
