cloakbench.receive({{ name|tojson }},{{ data|tojson }});
