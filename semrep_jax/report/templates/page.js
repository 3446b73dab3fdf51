(() => {
  const root = document.documentElement, button = document.getElementById("theme");
  const themes = ["system", "light", "dark"];
  const show = theme => {
    if (theme === "system") delete root.dataset.theme; else root.dataset.theme = theme;
    button.textContent = "theme: " + theme;
  };
  let theme = "system";
  try { theme = localStorage.getItem("semrep-theme") || theme } catch (blocked) {}
  show(themes.includes(theme) ? theme : "system");
  button.onclick = () => {
    const next = themes[(themes.indexOf(root.dataset.theme || "system") + 1) % 3];
    show(next);
    try { localStorage.setItem("semrep-theme", next) } catch (blocked) {}
  };

  const gallery = document.getElementById("gallery");
  if (!gallery) return;
  const chosen = Object.fromEntries([...gallery.querySelectorAll("select")].map(select => [select.name, select]));
  const value = name => chosen[name] ? chosen[name].value : "";
  const filter = () => {
    const arm = value("arm"), suite = value("suite"), verdict = value("verdict");
    let shown = 0;
    for (const one of gallery.querySelectorAll("[data-arm]")) one.hidden = Boolean(arm) && !one.dataset.arm.split(" ").includes(arm);
    for (const card of gallery.querySelectorAll(".card")) {
      const fits = version => (!arm || version.dataset.arm === arm) && (!verdict || version.dataset.status === verdict);
      const fitting = [...card.querySelectorAll(".view")].filter(view => [...view.querySelectorAll("[data-status]")].some(fits));
      card.hidden = Boolean(suite) && card.dataset.suite !== suite || !fitting.length;
      shown += !card.hidden;
      const open = card.querySelector("input:checked");
      if (verdict && fitting.length && open && !fitting.some(view => view.classList.contains(open.value))) {
        const names = [...card.querySelectorAll("input")];
        (names.find(input => fitting[0].classList.contains(input.value)) || open).checked = true;
      }
    }
    gallery.querySelector("output").textContent = shown + (shown === 1 ? " task" : " tasks");
  };
  for (const select of Object.values(chosen)) select.onchange = filter;
  filter();
})();
