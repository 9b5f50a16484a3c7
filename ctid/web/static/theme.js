// Light or dark as the system asks, where the page does not say which. Runs before the page is painted, so it is no module.
(() => {
  const root = document.documentElement;
  if (root.dataset.bsTheme !== undefined) return;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const show = () => { root.dataset.bsTheme = dark.matches ? "dark" : "light"; };
  dark.addEventListener("change", show);
  show();
})();
